//! `cooperage build` makes of images in archives, layouts, engines and registries of artifacts what
//! the real Apptainer makes of the same.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use cooperage_tests::apptainer::apptainer;
use cooperage_tests::process::{self, Output};
use cooperage_tests::{Settings, sif};

const LONGEST: Duration = Duration::from_mins(2);

/// An agent, what our definition names, what Apptainer's does, and what the program in the layer over
/// busybox says, if there is one. Apptainer 1.4 reads neither packed archives nor names of images in
/// archives and layouts; the tree has to be that of the image itself.
type Case<'a> = (&'a str, &'a str, &'a str, Option<&'a str>);

const SECOND: Option<&str> = Some("python got: x\n");

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn stored_images_become_the_trees_that_apptainer_makes_of_them() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let folder = folder()?;
    let here = folder.path();
    store_images(&world, here)?;
    let by_digest = |name: &str| -> anyhow::Result<String> {
        let digest = digest_in_layout(&here.join("layout"), name)?;
        Ok(format!("layout@{digest}"))
    };
    let (one, two) = (by_digest("one")?, by_digest("two")?);
    let artifact = push_artifact(&world, here)?;

    let cases: [Case<'_>; 9] = [
        ("docker-archive", "image.tar", "image.tar", SECOND),
        ("docker-archive", "image.tar.gz", "image.tar", SECOND),
        (
            "docker-archive",
            "image.tar:lab/tool:1.0",
            "image.tar",
            SECOND,
        ),
        ("oci", "layout:one", &one, None),
        ("oci", "layout:two", &two, SECOND),
        ("oci", &two, &two, SECOND),
        ("oci-archive", "layout.tar", "layout.tar", SECOND),
        ("oci-archive", "layout.tar:named", "layout.tar", SECOND),
        ("oras", &artifact, &artifact, SECOND),
    ];
    for (agent, ours, theirs, second) in cases {
        let name = format!("{agent} {ours}");
        let recipe = |from: &str| format!("Bootstrap: {agent}\nFrom: {from}\n");
        std::fs::write(here.join("Singularity"), recipe(ours))?;
        std::fs::write(here.join("Theirs"), recipe(theirs))?;
        let built = build(&world, here, None)?;
        let theirs = apptainer(here, &["build", "--force", "theirs.sif", "Theirs"])?;

        assert!(built.status.success(), "{name}: {}", built.stderr);
        assert!(theirs.status.success(), "{name}: {}", theirs.stderr);
        assert_same_trees(&name, here)?;
        assert_runs(&name, here, second)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn an_engine_gives_its_image_or_the_reason_why_not() -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let folder = folder()?;
    let here = folder.path();
    store_images(&world, here)?;
    let engine = engine(here, std::fs::read(here.join("image.tar"))?)?;

    let recipe = |from: &str| format!("Bootstrap: docker-daemon\nFrom: {from}\n");
    std::fs::write(here.join("Singularity"), recipe("lab/tool:1.0"))?;
    build(&world, here, Some(&engine))?.success()?;
    assert_runs("docker-daemon", here, SECOND)?;

    std::fs::remove_file(here.join("ours.sif"))?;
    let nobody = format!("unix://{}", here.join("nobody.sock").display());
    let nobody_answers = build(&world, here, Some(&nobody))?;
    std::fs::write(here.join("Singularity"), recipe("lab/none:1"))?;
    let missing = build(&world, here, Some(&engine))?;

    for (output, message) in [
        (
            nobody_answers,
            format!("no Docker engine answers at {nobody}"),
        ),
        (
            missing,
            "has no image lab/none:1: No such image: lab/none:1".to_owned(),
        ),
    ] {
        assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
        assert!(output.stderr.contains(&message), "{}", output.stderr);
        assert!(!here.join("ours.sif").exists());
    }
    Ok(())
}

/// A folder that all users may write to.
fn folder() -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o1777))?;
    Ok(folder)
}

/// Has skopeo write images of the registry in every form.
fn store_images(world: &Settings, here: &Path) -> anyhow::Result<()> {
    let copies = [
        (
            "tensorflow/tensorflow",
            "docker-archive:image.tar:lab/tool:1.0",
        ),
        ("library/busybox", "oci:layout:one"),
        ("tensorflow/tensorflow", "oci:layout:two"),
        ("tensorflow/tensorflow", "oci-archive:layout.tar:named"),
    ];
    for (image, target) in copies {
        let source = format!("docker://{}/{image}", world.registry);
        let mut skopeo = Command::new("skopeo");
        skopeo
            .args(["--insecure-policy", "copy", "--src-tls-verify=false"])
            .args([&source, target])
            .current_dir(here);
        process::run(&mut skopeo, LONGEST)?.success()?;
    }
    let mut gzip = Command::new("gzip");
    gzip.args(["--keep", "image.tar"]).current_dir(here);
    process::run(&mut gzip, LONGEST)?.success()?;
    let mut readable = Command::new("chmod");
    readable.args(["-R", "a+rX", "."]).current_dir(here);
    process::run(&mut readable, LONGEST)?.success()?;
    // chmod took the bits of the folder along
    std::fs::set_permissions(here, Permissions::from_mode(0o1777))?;
    Ok(())
}

fn digest_in_layout(layout: &Path, name: &str) -> anyhow::Result<String> {
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(layout.join("index.json"))?)?;
    let images = index["manifests"].as_array().into_iter().flatten();
    let mut named = images.filter(|image| {
        image["annotations"]["org.opencontainers.image.ref.name"].as_str() == Some(name)
    });
    let digest = named.next().and_then(|image| image["digest"].as_str());
    digest
        .map(str::to_owned)
        .ok_or_else(|| anyhow::anyhow!("{name} is not in {index}"))
}

/// Has Apptainer build a SIF image and push it.
fn push_artifact(world: &Settings, here: &Path) -> anyhow::Result<String> {
    let name = format!("{}/lab/artifact:1", world.registry);
    for arguments in [
        ["build", "pushed.sif", "docker-archive:image.tar"],
        ["push", "pushed.sif", &format!("oras://{name}")],
    ] {
        apptainer(here, &arguments)?.success()?;
    }
    Ok(name)
}

/// Builds `ours.sif` as the ordinary user.
fn build(world: &Settings, here: &Path, engine: Option<&str>) -> anyhow::Result<Output> {
    let mut build = process::command_as(world.user.as_deref(), "env");
    build
        .args(engine.map(|engine| format!("DOCKER_HOST={engine}")))
        .arg(format!(
            "COOPERAGE_CACHE={}",
            here.join("cache-of-user").display()
        ))
        .arg(&world.cooperage)
        .args(["build", "--force", "ours.sif", "Singularity"])
        .current_dir(here);
    process::run(&mut build, LONGEST)
}

fn assert_same_trees(name: &str, here: &Path) -> anyhow::Result<()> {
    let tree = |image: &str| -> anyhow::Result<Vec<(String, String)>> {
        let mut entries = sif::entries(&here.join(image))?;
        entries.retain(|(_, path)| !path.starts_with(".singularity.d"));
        for (facts, _) in &mut entries {
            *facts = without_time_of_build(facts);
        }
        Ok(entries)
    };
    let (ours, theirs) = (tree("ours.sif")?, tree("theirs.sif")?);

    assert!(ours.len() > 100, "{name}: {ours:?}");
    let only = |these: &[(String, String)], those: &[(String, String)]| {
        let only = these.iter().filter(|entry| !those.contains(entry));
        only.cloned().collect::<Vec<_>>()
    };
    let different = (only(&ours, &theirs), only(&theirs, &ours));
    assert_eq!(different, (vec![], vec![]), "{name}: ours, theirs");
    Ok(())
}

/// What both programs add has the time at which they did; all that is of the image has this one.
fn without_time_of_build(facts: &str) -> String {
    let words: Vec<&str> = facts.split(' ').collect();
    match words.as_slice() {
        [rest @ .., date, _] if *date != "2023-11-14" => rest.join(" "),
        _ => facts.to_owned(),
    }
}

/// The real Apptainer runs the image, and its upper layer is there.
fn assert_runs(name: &str, here: &Path, second: Option<&str>) -> anyhow::Result<()> {
    let ran = apptainer(
        here,
        &["exec", "ours.sif", "sh", "-c", "python x || echo none"],
    )?;
    let expected = second.unwrap_or("none\n");

    assert_eq!(ran.success()?, expected, "{name}");
    Ok(())
}

/// A Docker engine that has one image; its thread ends with the test.
fn engine(here: &Path, archive: Vec<u8>) -> anyhow::Result<String> {
    let socket: PathBuf = here.join("docker.sock");
    let listener = UnixListener::bind(&socket)?;
    std::fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
    thread::spawn(move || {
        // The connection that only looks whether somebody is there asks nothing.
        for stream in listener.incoming().flatten() {
            if let Err(error) = answer(&stream, &archive) {
                eprintln!("engine: {error}");
            }
        }
    });
    Ok(format!("unix://{}", socket.display()))
}

fn answer(mut stream: &UnixStream, archive: &[u8]) -> std::io::Result<()> {
    let lines = BufReader::new(stream).lines();
    let head: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else {
        return Ok(());
    };
    let (status, body) = match path {
        "/images/lab/tool:1.0/get" => ("200 OK", archive),
        _ => (
            "404 Not Found",
            &br#"{"message":"No such image: lab/none:1"}"#[..],
        ),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)
}
