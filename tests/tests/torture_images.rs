//! Docker images that hold everything a layer may hold: the right tree, or a clear refusal.

use std::path::Path;

use cooperage_protocol::admin::Build;
use cooperage_protocol::{BuildState, FailureKind};
use cooperage_tests::apptainer::apptainer;
use cooperage_tests::{Forge, Hub, pull, sif};

/// Tags of recipes and the images they build on.
const IMAGES: [(&str, &str); 13] = [
    ("gzip", "busybox"),
    ("zstd", "busybox:zstd"),
    ("mixed", "busybox:mixed"),
    ("docker", "busybox:docker"),
    ("index", "busybox:index"),
    ("list", "busybox:list"),
    ("kitchen-sink", "test/kitchen-sink"),
    ("layers-101", "test/layers-101"),
    ("config-rich", "test/config-rich"),
    ("config-empty", "test/config-empty"),
    ("config-nulls", "test/config-nulls"),
    ("entrypoint-only", "test/entrypoint-only"),
    ("hostile", "test/hostile"),
];

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn torture_images_give_the_right_tree_or_a_clear_refusal() -> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/torture")?;
    for (tag, image) in IMAGES {
        let recipe = format!("Bootstrap: docker\nFrom: {image}\n");
        repository.write(&format!("Singularity.{tag}"), recipe)?;
    }

    repository.push()?;
    let builds = hub.finished_builds("lab/torture", IMAGES.len())?;

    for build in builds
        .iter()
        .filter(|build| build.tag.as_str() != "hostile")
    {
        let log = hub.build_log(build)?;
        assert_eq!(
            build.state,
            BuildState::Succeeded,
            "{}: {:?}\n{log}",
            build.tag,
            build.failure
        );
        let image = build
            .image
            .as_ref()
            .expect("a build that succeeded has an image");
        pull::download(&hub, &format!("lab/torture:{}", build.tag), image.digest)?;
    }
    let image = |tag: &str| hub.folder().join(format!("lab_torture_{tag}.sif"));
    assert_kitchen_sink(&image("kitchen-sink"))?;
    assert_eq!(
        sif::content(&image("mixed"), "etc/second")?,
        "second layer\n"
    );
    assert_eq!(sif::content(&image("layers-101"), "layers/last")?, "99");
    for index in ["index", "list"] {
        assert_eq!(
            sif::line_of(&sif::listing(&image(index))?, "etc/foreign"),
            None,
            "{index}"
        );
    }
    assert_configurations(hub.folder())?;
    assert_nothing_escaped(&builds)
}

fn assert_kitchen_sink(image: &Path) -> anyhow::Result<()> {
    let listing = sif::listing(image)?;
    let starts = |path: &str, start: &str| {
        let line = sif::line_of(&listing, path);
        assert!(
            line.is_some_and(|line| line.starts_with(start)),
            "{path}: {line:?}\n{listing}"
        );
    };
    starts("data/suid", "-rwsr-xr-x 0/0");
    starts("data/sticky", "drwxrwxrwt 0/0");
    starts("data/owned", "-rw-r--r-- 1234/5678");
    starts("data/far", "-rw-r--r-- 60000/60001");
    starts("dev/null-copy", "crw-rw-rw- 0/0");
    starts("data/fifo", "prw------- 0/0");
    starts("data/secret", "---------- 0/0");
    starts("data/dangling", "lrwxrwxrwx 0/0");
    starts("data/link-gone", "drwxr-xr-x 0/0");
    for present in [
        "with space",
        "unicode-é-日",
        "deep/er/file",
        "target/through",
        "link-gone/real",
    ] {
        starts(&format!("data/{present}"), "-rw-r--r--");
    }
    for absent in [
        "remove",
        "gone",
        "gone/a",
        "opaque/old",
        "late/old",
        "becomes-file/x",
    ] {
        assert_eq!(
            sif::line_of(&listing, &format!("data/{absent}")),
            None,
            "{listing}"
        );
    }
    assert!(!listing.contains(".wh."), "{listing}");
    let content = |path: &str| sif::content(image, &format!("data/{path}"));
    assert_eq!(
        content("opaque/fresh")? + &content("late/fresh")?,
        "upper\nupper\n"
    );
    assert_eq!(
        content("becomes-file")? + &content("becomes-folder/x")?,
        "upper\nupper\n"
    );
    assert_eq!(
        content("hard-b")? + &content("hard-lower")?,
        "one inode\nlower\n"
    );
    assert_eq!(content("twice")?, "second\n");
    Ok(())
}

fn assert_configurations(folder: &Path) -> anyhow::Result<()> {
    let image = |tag: &str| format!("lab_torture_{tag}.sif");

    let entry = apptainer(folder, &["run", &image("entrypoint-only"), "more"])?.success()?;
    let rich = apptainer(folder, &["run", &image("config-rich"), "more"])?.success()?;
    let environment = apptainer(folder, &["exec", &image("config-rich"), "env"])?.success()?;
    let labels = apptainer(folder, &["inspect", "--labels", &image("config-rich")])?.success()?;

    assert_eq!(entry, "entry more\n");
    assert_eq!(rich, "entry point more\n");
    assert!(
        environment.contains("GREETING=hello world\n"),
        "{environment}"
    );
    assert!(
        environment.contains("QUOTED=a\"b'c $HOME `x`\n"),
        "{environment}"
    );
    assert!(environment.contains("EQUALS=a=b=c\n"), "{environment}");
    assert!(labels.contains("maintainer: A <a@example.org>"), "{labels}");
    for tag in ["config-empty", "config-nulls"] {
        apptainer(folder, &["exec", &image(tag), "/bin/true"])?.success()?;
    }
    Ok(())
}

/// The hostile image may be unpacked inside its own root or be refused; it never writes outside.
fn assert_nothing_escaped(builds: &[Build]) -> anyhow::Result<()> {
    let hostile = builds.iter().find(|build| build.tag.as_str() == "hostile");
    let failure = hostile.and_then(|build| build.failure.as_ref());
    assert!(
        failure.is_none_or(|failure| failure.kind == FailureKind::Base),
        "{failure:?}"
    );
    for entry in std::fs::read_dir("/tmp")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with("cooperage-escaped"), "{name}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn private_images_are_built_with_the_account_in_the_header_and_it_is_shown_nowhere()
-> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/private")?;
    let recipe = |registry: &str| {
        format!(
            "Bootstrap: docker\nFrom: {registry}/private/busybox\nUsername: tester\nPassword: s3cret\n"
        )
    };
    repository.write("Singularity.basic", recipe(&hub.world.password_registry))?;
    repository.write("Singularity.token", recipe(&hub.world.token_registry))?;

    repository.push()?;
    let builds = hub.finished_builds("lab/private", 2)?;

    for build in &builds {
        let log = hub.build_log(build)?;
        assert_eq!(
            build.state,
            BuildState::Succeeded,
            "{}: {:?}\n{log}",
            build.tag,
            build.failure
        );
        assert!(!log.contains("s3cret"), "{log}");
        let image = build
            .image
            .as_ref()
            .expect("a build that succeeded has an image");
        let file = pull::download(&hub, &format!("lab/private:{}", build.tag), image.digest)?;
        let file = file.to_string_lossy();
        let definition = apptainer(hub.folder(), &["inspect", "--deffile", &file])?.success()?;
        assert!(definition.contains("Bootstrap: docker"), "{definition}");
        assert!(!definition.contains("s3cret"), "{definition}");
    }
    Ok(())
}
