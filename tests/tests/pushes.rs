//! Images built elsewhere: pushed by the clients that people have, and pulled by all of them.

use std::path::Path;

use cooperage_tests::{Account, Client, Hub, Options, http, pull};

/// A remote of Apptainer has no place for a port.
const HOST: &str = "127.0.0.14";

/// The machine at which everything of one architecture is made.
const HERE: &str = "amd64";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn what_apptainer_and_skopeo_push_is_pulled_by_every_protocol() -> anyhow::Result<()> {
    let hub = Hub::start_with(Options {
        host: HOST,
        port: Some(80),
        ..Options::default()
    })?;
    for name in ["lab/tool", "lab/hidden"] {
        hub.add_collection(&format!("https://forge.example.org/{name}.git"), name)?;
    }
    hub.cooperage(&["collection", "set", "lab/hidden", "--visibility", "private"])?
        .success()?;
    let ada = Account::make(&hub, "ada", &["push"])?;
    let member = ["collection", "member", "set", "lab/tool", "ada", "builder"];
    hub.cooperage(&member)?.success()?;
    let builder = Client::new(&hub, "builder", Some(&ada.token))?;
    build(&hub, &builder, "one")?;
    build(&hub, &builder, "two")?;
    build(&hub, &builder, "mine")?;

    assert_pushed_by_oras(&builder)?;
    assert_pushed_by_library(&builder)?;
    assert_a_tag_means_one_image_for_each_architecture(&builder)?;
    assert_artifacts_are_kept(&hub, &builder)?;
    assert_refused_without_the_right(&hub, &builder)?;
    assert_found_and_deleted(&hub, &builder)?;
    assert!(!hub.log().contains(&ada.token), "the log tells a token");
    Ok(())
}

/// Makes an image that differs from others.
fn build(hub: &Hub, client: &Client<'_>, name: &str) -> anyhow::Result<()> {
    let recipe = format!("Bootstrap: docker\nFrom: busybox\n\n%help\n    the image {name}\n");
    std::fs::write(client.file(&format!("{name}.def")), recipe)?;
    let mirror = format!("--registry-mirror docker.io=http://{}", hub.world.registry);
    client
        .ours(&format!("build {mirror} {name}.sif {name}.def"))?
        .success()?;
    Ok(())
}

fn assert_pushed_by_oras(client: &Client<'_>) -> anyhow::Result<()> {
    push(
        client,
        "one.sif",
        &format!("oras://{HOST}/lab/tool:by-oras"),
    )?;

    assert_pulled(client, "by-oras", "one.sif")
}

/// Two tags at once, and the bytes that the hub has already are not sent again.
fn assert_pushed_by_library(client: &Client<'_>) -> anyhow::Result<()> {
    push(client, "two.sif", "library://lab/tool/tool:by-library,v1")?;
    push(client, "one.sif", "library://lab/tool/tool:again")?;

    assert_pulled(client, "by-library", "two.sif")?;
    assert_pulled(client, "v1", "two.sif")?;
    assert_pulled(client, "again", "one.sif")
}

fn push(client: &Client<'_>, file: &str, address: &str) -> anyhow::Result<()> {
    let pushed = client.apptainer(&["push", "--allow-unsigned", file, address])?;
    pushed.success().map(drop)
}

/// The clients get the very file that was pushed.
fn assert_pulled(client: &Client<'_>, tag: &str, pushed: &str) -> anyhow::Result<()> {
    let expected = pull::digest_of(&client.file(pushed))?;
    for address in [
        format!("shub://{HOST}/lab/tool:{tag}"),
        format!("library://lab/tool/tool:{tag}"),
        format!("oras://{HOST}/lab/tool:{tag}"),
        format!("http://{HOST}/lab/tool/{tag}.sif"),
    ] {
        let asked = ["pull", "--force", "pulled.sif", &address];
        client.apptainer(&asked)?.success()?;
        let pulled = pull::digest_of(&client.file("pulled.sif"))?;
        assert_eq!(pulled, expected, "{address}");
    }
    Ok(())
}

fn assert_a_tag_means_one_image_for_each_architecture(client: &Client<'_>) -> anyhow::Result<()> {
    let foreign = client.file("foreign.sif");
    std::fs::copy(client.file("two.sif"), &foreign)?;
    say_arm64(&foreign)?;
    push(client, "one.sif", "library://lab/tool/tool:both")?;
    push(client, "foreign.sif", "library://lab/tool/tool:both")?;

    for (architecture, pushed) in [(HERE, "one.sif"), ("arm64", "foreign.sif")] {
        let address = "library://lab/tool/tool:both";
        let asked = [
            "pull",
            "--force",
            "--arch",
            architecture,
            "arch.sif",
            address,
        ];
        client.apptainer(&asked)?.success()?;
        assert_eq!(
            pull::digest_of(&client.file("arch.sif"))?,
            pull::digest_of(&client.file(pushed))?,
            "{architecture}"
        );
    }
    let asked = [
        "pull",
        "--arch",
        "riscv64",
        "none.sif",
        "library://lab/tool/tool:both",
    ];
    let refused = client.apptainer(&asked)?;
    assert!(!refused.status.success(), "{refused:?}");
    assert!(!client.file("none.sif").exists());
    Ok(())
}

/// Changes what a SIF says it is for: in its head, and where it describes its partition.
fn say_arm64(image: &Path) -> anyhow::Result<()> {
    let mut bytes = std::fs::read(image)?;
    let number = |at: usize| -> anyhow::Result<usize> {
        Ok(usize::try_from(u64::from_le_bytes(
            bytes[at..at + 8].try_into()?,
        ))?)
    };
    let (count, table) = (number(88)?, number(96)?);
    bytes[45..48].copy_from_slice(b"04\0");
    for descriptor in bytes[table..].chunks_exact_mut(585).take(count) {
        if descriptor[..4] == 0x4004_u32.to_le_bytes() {
            descriptor[209..212].copy_from_slice(b"04\0");
        }
    }
    Ok(std::fs::write(image, bytes)?)
}

/// An image of layers is no image of the hub, but its registry keeps it as it is.
fn assert_artifacts_are_kept(hub: &Hub, client: &Client<'_>) -> anyhow::Result<()> {
    let source = format!("docker://{}/library/busybox", hub.world.registry);
    let target = format!("docker://{HOST}/lab/tool:layers");
    let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    let insecure = ["copy", plain[0], plain[1], "--preserve-digests"];
    client
        .skopeo(&[&insecure[..], &[&source, &target]].concat())?
        .success()?;

    let raw = |image: &str| -> anyhow::Result<String> {
        let asked = ["inspect", "--raw", "--tls-verify=false", image];
        client.skopeo(&asked)?.success()
    };
    let back = ["copy", plain[0], plain[1], "--preserve-digests"];
    client
        .skopeo(&[&back[..], &[&target, "dir:layers"]].concat())?
        .success()?;
    let manifest = std::fs::read_to_string(client.file("layers/manifest.json"))?;
    assert_eq!(raw(&target)?, manifest);
    for address in ["shub", "library"] {
        let place = if address == "shub" {
            "lab/tool"
        } else {
            "lab/tool/tool"
        };
        let address = format!("{address}://{HOST}/{place}:layers");
        let refused = client.apptainer(&["pull", "layers.sif", &address])?;
        assert!(!refused.status.success(), "{address}");
        assert!(!client.file("layers.sif").exists(), "{address}");
    }
    let told = http::client()?
        .get(hub.url("/lab/tool/layers.sif"))
        .send()?;
    assert_eq!(told.status(), 404);
    Ok(())
}

/// Nobody pushes who may not, or where there is nothing; the client says why, and nothing is left.
fn assert_refused_without_the_right(hub: &Hub, builder: &Client<'_>) -> anyhow::Result<()> {
    let bob = Account::make(hub, "bob", &["push"])?;
    let member = ["collection", "member", "set", "lab/tool", "bob", "reader"];
    hub.cooperage(&member)?.success()?;
    let reader = Client::new(hub, "reader", Some(&bob.token))?;
    let eve = Account::make(hub, "eve", &["read"])?;
    let member = ["collection", "member", "set", "lab/tool", "eve", "builder"];
    hub.cooperage(&member)?.success()?;
    let without_scope = Client::new(hub, "without-scope", Some(&eve.token))?;
    let stranger = Client::new(hub, "stranger", None)?;
    for client in [&reader, &without_scope, &stranger] {
        std::fs::copy(builder.file("mine.sif"), client.file("mine.sif"))?;
    }
    let before = kept(hub)?;

    for (client, who, why) in [
        (&reader, "a reader", "builder"),
        (&without_scope, "a token that reads", "scope push"),
        (&stranger, "nobody", "token"),
    ] {
        for address in [
            format!("oras://{HOST}/lab/tool:mine"),
            "library://lab/tool/tool:mine".to_owned(),
        ] {
            assert_refused(client, &address, (who, why))?;
        }
    }
    for (address, why) in [
        (format!("oras://{HOST}/lab/absent:v1"), "lab/absent"),
        (format!("oras://{HOST}/lab/hidden:v1"), "lab/hidden"),
        ("library://lab/absent/absent:v1".to_owned(), "collection"),
        ("library://lab/hidden/hidden:v1".to_owned(), "collection"),
        ("library://lab/tool/other:v1".to_owned(), "collection"),
    ] {
        assert_refused(builder, &address, ("a builder of another", why))?;
    }
    assert_eq!(kept(hub)?, before, "something is left");
    Ok(())
}

fn assert_refused(
    client: &Client<'_>,
    address: &str,
    (who, why): (&str, &str),
) -> anyhow::Result<()> {
    let pushed = client.apptainer(&["push", "--allow-unsigned", "mine.sif", address])?;
    let said = format!("{}{}", pushed.stdout, pushed.stderr);
    assert!(!pushed.status.success(), "{address} by {who}: {said}");
    assert!(said.contains(why), "{address} by {who}: {said}");
    Ok(())
}

/// All that a push could leave.
fn kept(hub: &Hub) -> anyhow::Result<String> {
    let counts = hub.query(
        "SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM blobs),
            (SELECT count(*) FROM manifests), (SELECT count(*) FROM tags),
            (SELECT count(*) FROM other_architectures), (SELECT count(*) FROM pushes),
            (SELECT count(*) FROM objects), (SELECT count(*) FROM collections)",
    )?;
    Ok(counts)
}

fn assert_found_and_deleted(hub: &Hub, client: &Client<'_>) -> anyhow::Result<()> {
    let found = client
        .apptainer(&["search", "--arch", HERE, "tool"])?
        .success()?;
    assert!(found.contains("lab/tool/tool:"), "{found}");
    assert!(found.contains("by-library"), "{found}");
    assert!(!found.contains("hidden"), "{found}");

    let address = "library://lab/tool/tool:by-library";
    let delete = ["delete", "--force", "--arch", HERE, address];
    let refused = client.apptainer(&delete)?;
    assert!(!refused.status.success(), "a builder deletes: {refused:?}");
    let owner = ["collection", "member", "set", "lab/tool", "ada", "owner"];
    hub.cooperage(&owner)?.success()?;
    let refused = client.apptainer(&delete)?;
    assert!(
        !refused.status.success(),
        "the token only pushes: {refused:?}"
    );
    let grace = Account::make(hub, "grace", &["admin"])?;
    let owner = ["collection", "member", "set", "lab/tool", "grace", "owner"];
    hub.cooperage(&owner)?.success()?;
    let owner = Client::new(hub, "owner", Some(&grace.token))?;
    owner.apptainer(&delete)?.success()?;

    let gone = client.apptainer(&["pull", "gone.sif", address])?;
    assert!(!gone.status.success(), "{gone:?}");
    let told = http::text(&hub.url("/api/container/lab/tool:by-library"))?;
    assert!(told.contains("again"), "{told}");
    Ok(())
}
