//! The definition files of Singularity's first Docker manual build as they stand there.

use cooperage_protocol::BuildState;
use cooperage_protocol::admin::Build;
use cooperage_tests::apptainer::apptainer;
use cooperage_tests::{Forge, Hub, pull};

/// Written by `printf`: no space after the colons, no end of the last line.
const PRINTF: &str = "Bootstrap:docker\nFrom:ubuntu:latest";

const MINIMAL: &str = "Bootstrap: docker\nFrom: tensorflow/tensorflow:latest\n";

const FULL: &str = r#"Bootstrap: docker
From: tensorflow/tensorflow:latest

%runscript
 
    exec /usr/bin/python "$@"

%post

    echo "Post install stuffs!"

%files

/home/vanessa/Desktop/analysis.py /tmp/analysis.py
relative_path.py /tmp/analysis2.py

%environment

TOPSECRET pancakes
HELLO WORLD

%labels

AUTHOR Vanessasaur
"#;

const INCLUDE_CMD: &str = r#"Bootstrap: docker
From: tensorflow/tensorflow:latest
IncludeCmd: yes

%post

    echo "Post install stuffs!"
"#;

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn the_definitions_of_the_first_docker_manual_build_and_run() -> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/seed")?;
    repository.write("Singularity.printf", PRINTF)?;
    repository.write("Singularity.minimal", MINIMAL)?;
    repository.write("Singularity.full", FULL)?;
    repository.write("Singularity.includecmd", INCLUDE_CMD)?;
    repository.write("home/vanessa/Desktop/analysis.py", "print('one')\n")?;
    repository.write("relative_path.py", "print('two')\n")?;

    repository.push()?;
    let builds = hub.finished_builds("lab/seed", 4)?;

    for build in &builds {
        let log = hub.build_log(build)?;
        assert_eq!(
            build.state,
            BuildState::Succeeded,
            "{}: {:?}\n{log}",
            build.tag,
            build.failure
        );
        fetch(&hub, build)?;
    }
    let in_image = |image: &str, arguments: &[&str]| {
        let file = format!("lab_seed_{image}.sif");
        let arguments = [&[arguments[0], &file], &arguments[1..]].concat();
        apptainer(hub.folder(), &arguments)?.success()
    };
    let inspect = |what: &str, image: &str| {
        let file = format!("lab_seed_{image}.sif");
        apptainer(hub.folder(), &["inspect", what, &file])?.success()
    };
    assert!(in_image("printf", &["exec", "cat", "/etc/debian_version"])?.starts_with("12"));
    assert!(inspect("--runscript", "printf")?.contains("bash"));
    assert_eq!(
        in_image("minimal", &["run", "a", "b c"])?,
        "entry point of docker a b c\n"
    );
    assert_eq!(
        in_image("full", &["run", "a", "b c"])?,
        "python got: a b c\n"
    );
    let environment = in_image("full", &["exec", "/bin/env"])?;
    assert!(environment.contains("TOPSECRET=pancakes"), "{environment}");
    assert!(environment.contains("HELLO=WORLD"), "{environment}");
    assert!(inspect("--labels", "full")?.contains("AUTHOR: Vanessasaur"));
    assert_eq!(in_image("includecmd", &["run"])?, "command of docker\n");
    for (image, definition) in [("printf", PRINTF), ("full", FULL)] {
        assert_eq!(
            inspect("--deffile", image)?.trim_end(),
            definition.trim_end()
        );
    }
    Ok(())
}

/// `/tmp` of a running container is the caller's: what `%files` put there is seen in the image.
#[test]
#[ignore = "needs the world that tests/run sets up"]
fn files_of_the_manual_lie_where_it_says() -> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/files")?;
    repository.write("Singularity", FULL)?;
    repository.write("home/vanessa/Desktop/analysis.py", "print('one')\n")?;
    repository.write("relative_path.py", "print('two')\n")?;

    repository.push()?;
    let builds = hub.finished_builds("lab/files", 1)?;

    let image = fetch(&hub, &builds[0])?;
    let content = |path| cooperage_tests::sif::content(&image, path);
    assert_eq!(content("tmp/analysis.py")?, "print('one')\n");
    assert_eq!(content("tmp/analysis2.py")?, "print('two')\n");
    Ok(())
}

fn fetch(hub: &Hub, build: &Build) -> anyhow::Result<std::path::PathBuf> {
    let digest = build
        .image
        .as_ref()
        .expect("a build that succeeded has an image")
        .digest;
    pull::download(hub, &format!("{}:{}", build.collection, build.tag), digest)
}
