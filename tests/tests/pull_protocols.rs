//! One image, pulled by every protocol that Apptainer and our own engine speak.

use std::time::Duration;

use cooperage_protocol::BuildState;
use cooperage_tests::apptainer::apptainer;
use cooperage_tests::{Forge, Hub, Options, http, process, pull};

/// A `shub://` address has no place for a port.
const HOST: &str = "127.0.0.11";

const LONGEST: Duration = Duration::from_mins(5);

const RECIPE: &str = "Bootstrap: docker\nFrom: busybox\n
%post
    echo \"made by the hub\" > /made.txt
";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn an_image_is_the_same_by_every_protocol_and_a_base_for_others() -> anyhow::Result<()> {
    let hub = Hub::start_with(Options {
        host: HOST,
        port: Some(80),
        ..Options::default()
    })?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/tool")?;
    repository.write("Singularity.v1", RECIPE)?;
    repository.push()?;
    let builds = hub.finished_builds("lab/tool", 1)?;
    assert_eq!(
        builds[0].state,
        BuildState::Succeeded,
        "{:?}",
        builds[0].failure
    );
    let image = builds[0].image.as_ref().expect("it has an image");

    for (protocol, address) in addresses("v1") {
        let file = format!("{protocol}.sif");
        apptainer(hub.folder(), &["pull", &file, &address])?.success()?;
        let bytes = std::fs::read(hub.folder().join(&file))?;
        assert_eq!(pull::sha256(&bytes), image.digest.to_string(), "{address}");

        let file = format!("ours-{protocol}.sif");
        ours(&hub, &["pull", &file, &address])?;
        let bytes = std::fs::read(hub.folder().join(&file))?;
        assert_eq!(pull::sha256(&bytes), image.digest.to_string(), "{address}");
    }
    let by_digest = format!(
        "library://{HOST}/lab/tool/tool:sha256.{}",
        image.digest.hex()
    );
    apptainer(hub.folder(), &["pull", "digest.sif", &by_digest])?.success()?;
    assert_absent_tags_are_told(&hub)?;
    assert_a_second_start_fetches_nothing(&hub)?;
    assert_others_build_on_it(&hub)
}

/// Where each protocol has the image of a tag.
fn addresses(tag: &str) -> [(&'static str, String); 4] {
    [
        ("shub", format!("shub://{HOST}/lab/tool:{tag}")),
        ("library", format!("library://{HOST}/lab/tool/tool:{tag}")),
        ("oras", format!("oras://{HOST}/lab/tool:{tag}")),
        ("http", format!("http://{HOST}/lab/tool/{tag}.sif")),
    ]
}

/// Apptainer fails, and the hub says so in the words of the protocol.
fn assert_absent_tags_are_told(hub: &Hub) -> anyhow::Result<()> {
    for (protocol, address) in addresses("absent") {
        let file = format!("absent-{protocol}.sif");
        let pulled = apptainer(hub.folder(), &["pull", &file, &address])?;
        assert!(!pulled.status.success(), "{address}: {pulled:?}");
        assert!(!hub.folder().join(&file).exists(), "{address}");
    }
    for (path, place, word) in [
        ("/api/container/lab/tool:absent", "/detail", "v1"),
        ("/v1/images/lab/tool/tool:absent", "/error/code", "404"),
        (
            "/v2/lab/tool/manifests/absent",
            "/errors/0/code",
            "MANIFEST_UNKNOWN",
        ),
        ("/lab/tool/absent.sif", "/detail", "v1"),
    ] {
        let answer = http::client()?.get(hub.url(path)).send()?;
        assert_eq!(answer.status(), 404, "{path}");
        let told: serde_json::Value = answer.json()?;
        let found = told.pointer(place).map(ToString::to_string);
        assert!(
            found.is_some_and(|found| found.contains(word)),
            "{path}: {told}"
        );
    }
    Ok(())
}

/// The image is run by its address; the second time the hub is only asked whether it changed.
fn assert_a_second_start_fetches_nothing(hub: &Hub) -> anyhow::Result<()> {
    for (_, address) in addresses("v1") {
        let exec = ["exec", &address, "cat", "/made.txt"];
        let said = ours(hub, &exec)?;
        assert!(said.starts_with("made by the hub\n"), "{said}");
        assert!(said.contains("fetching"), "{said}");
        assert_eq!(ours(hub, &exec)?, "made by the hub\n", "{address}");
    }
    Ok(())
}

/// The engine builds on the image by the protocols that have an agent.
fn assert_others_build_on_it(hub: &Hub) -> anyhow::Result<()> {
    for base in [
        format!("oras\nFrom: {HOST}/lab/tool:v1"),
        format!("library\nLibrary: http://{HOST}\nFrom: lab/tool/tool:v1"),
        format!("shub\nFrom: {HOST}/lab/tool:v1"),
    ] {
        let recipe = format!("Bootstrap: {base}\n\n%test\n    cat /made.txt\n");
        std::fs::write(hub.folder().join("upper.def"), recipe)?;
        let said = ours(hub, &["build", "--force", "upper.sif", "upper.def"])?;
        assert!(said.contains("made by the hub"), "{base}: {said}");
    }
    Ok(())
}

/// What our program prints when it succeeds.
fn ours(hub: &Hub, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = process::command_as(hub.world.user.as_deref(), &hub.world.cooperage);
    command.args(arguments).current_dir(hub.folder());
    let output = process::run(&mut command, LONGEST)?;
    let errors = output.stderr.clone();
    Ok(output.success()? + &errors)
}
