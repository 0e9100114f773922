//! A pushed recipe with every section becomes an image that Apptainer pulls and runs.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use cooperage_protocol::BuildState;
use cooperage_tests::apptainer::apptainer;
use cooperage_tests::bench::Bench;
use cooperage_tests::{Forge, Hub, Options, Settings, http, process, pull, wait};
use reqwest::StatusCode;
use reqwest::blocking::Response;

const LONGEST_BUILD: Duration = Duration::from_mins(10);

/// `tests/run` gives its user ids from here on; `apt` drops to one of them.
const FIRST_SUBORDINATE_ID: u32 = 100_000;

const RECIPE: &str = r#"Bootstrap: docker
From: debian:bookworm

%setup
    echo "made by setup" > "${APPTAINER_ROOTFS}/setup.txt"

%files
    data/greeting.txt /opt/greeting.txt
    "data/with space.txt" /opt/spaced.txt

%environment
    export GREETING="hello from the environment"

%post
    apt-get update
    apt-get install -y --no-install-recommends hello
    rm -rf /var/lib/apt/lists/*
    id -u > /opt/uid.txt

%labels
    Maintainer Tester
    Version 1.0

%runscript
    echo "$GREETING: $*"
    cat /opt/greeting.txt

%startscript
    exec sleep 60

%help
    Say hello with: run IMAGE NAME

%test
    test -x /usr/bin/hello
    grep -q setup /setup.txt
    echo "the test ran"
"#;

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_pushed_recipe_becomes_an_image_that_apptainer_pulls_and_runs() -> anyhow::Result<()> {
    let port_of_shub = Options {
        host: "127.0.0.7",
        port: Some(80),
        ..Options::default()
    };
    let mut hub = Hub::start_with(port_of_shub)?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/tool")?;
    repository.write("Singularity", RECIPE)?;
    repository.write("data/greeting.txt", "greetings from a file\n")?;
    repository.write("data/with space.txt", "spaced\n")?;

    repository.push()?;
    let users = users_until_it_is_built(&mut hub)?;
    let builds = hub.finished_builds("lab/tool", 1)?;

    assert_eq!(builds.len(), 1);
    let log = hub.build_log(&builds[0])?;
    assert_eq!(
        builds[0].state,
        BuildState::Succeeded,
        "{:?}\n{log}",
        builds[0].failure
    );
    assert!(log.contains("the test ran"), "{log}");
    assert!(!users.contains(&0), "part of the build ran as root");
    assert!(
        users.iter().any(|user| *user >= FIRST_SUBORDINATE_ID),
        "no script was seen to run: {users:?}"
    );
    assert_nothing_runs_as_root(&mut hub)?;
    assert_http_serves_pieces(&hub, builds[0].image.as_ref().map_or(0, |image| image.size))?;
    let folder = hub.folder();
    let pulled = format!("shub://{}/lab/tool", hub.address().trim_end_matches(":80"));
    apptainer(folder, &["pull", "by-shub.sif", &pulled])?.success()?;
    let image = pull::manifest(&hub, "lab/tool:latest")?
        .expect("latest is published")
        .image;
    apptainer(folder, &["pull", "by-http.sif", &image])?.success()?;
    let expected = builds[0]
        .image
        .as_ref()
        .map(|image| image.digest.to_string());
    for name in ["by-shub.sif", "by-http.sif"] {
        let bytes = std::fs::read(folder.join(name))?;
        assert_eq!(Some(pull::sha256(&bytes)), expected, "{name}");
    }
    assert_it_runs(folder, "by-shub.sif")?;
    assert_it_is_a_base(&hub)?;
    assert_it_can_be_inspected(folder, "by-shub.sif")
}

/// Others build on the image, by each of the ways to it.
fn assert_it_is_a_base(hub: &Hub) -> anyhow::Result<()> {
    let world = Settings::from_environment()?;
    let bench = Bench::of(&world, world.user.as_deref())?;
    let host = hub.address().trim_end_matches(":80");
    for header in [
        format!("shub\nFrom: {host}/lab/tool"),
        format!("library\nFrom: {host}/lab/tool/tool:latest"),
        format!("library\nLibrary: http://{host}\nFrom: lab/tool/tool"),
    ] {
        let definition = format!("Bootstrap: {header}\n%runscript\n    cat /opt/greeting.txt\n");
        bench.build("image", &definition, &[])?.success()?;
        let said = bench.apptainer(&["run", "image.sif"])?;
        assert_eq!(said, "greetings from a file\n", "{header}");
    }
    let missing = bench.build(
        "image",
        &format!("Bootstrap: shub\nFrom: {host}/lab/none"),
        &[],
    )?;
    assert!(
        missing.stderr.contains("no such image"),
        "{}",
        missing.stderr
    );
    Ok(())
}

/// The users that the hub's processes belong to, from now until the build has ended.
fn users_until_it_is_built(hub: &mut Hub) -> anyhow::Result<BTreeSet<u32>> {
    let id = hub.process()?.id();
    let mut users = BTreeSet::new();
    wait::until("the end of the build", LONGEST_BUILD, || {
        for (id, _) in process::descendants(id)? {
            users.extend(owner(id));
        }
        let builds = hub.builds("lab/tool")?;
        Ok(builds
            .iter()
            .any(|build| build.state.is_final())
            .then_some(()))
    })?;
    Ok(users)
}

/// The real user of a process that has not ended meanwhile; `newuidmap` is root's, but only by effect.
fn owner(process: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let users = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:\t"))?;
    users.split('\t').next()?.parse().ok()
}

fn assert_nothing_runs_as_root(hub: &mut Hub) -> anyhow::Result<()> {
    let hub = hub.process()?.id();
    for (id, name) in [process::descendants(hub)?, vec![(hub, "hub".to_owned())]].concat() {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let user = status
            .lines()
            .find(|line| line.starts_with("Uid:"))
            .unwrap_or("Uid:\t-");
        assert!(
            !user.split('\t').any(|id| id == "0"),
            "{name} runs as root: {user}"
        );
    }
    Ok(())
}

fn assert_http_serves_pieces(hub: &Hub, size: u64) -> anyhow::Result<()> {
    let url = pull::manifest(hub, "lab/tool:latest")?
        .expect("latest is published")
        .image;
    let client = http::client()?;

    let whole = client.head(&url).send()?;
    let etag = whole.headers()["etag"].clone();
    let piece = client.get(&url).header("Range", "bytes=64-127").send()?;
    let same = client
        .get(&url)
        .header("Range", "bytes=-10")
        .header("If-Range", &etag)
        .send()?;
    let other = client
        .get(&url)
        .header("Range", "bytes=0-9")
        .header("If-Range", "\"x\"")
        .send()?;
    let beyond = client
        .get(&url)
        .header("Range", format!("bytes={size}-"))
        .send()?;

    assert_eq!(length_of(&whole), size);
    assert_eq!(
        (piece.status(), length_of(&piece)),
        (StatusCode::PARTIAL_CONTENT, 64)
    );
    assert_eq!(
        (same.status(), length_of(&same)),
        (StatusCode::PARTIAL_CONTENT, 10)
    );
    assert_eq!((other.status(), length_of(&other)), (StatusCode::OK, size));
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert!(!etag.to_str()?.starts_with("W/"), "{etag:?} is strong");
    Ok(())
}

fn length_of(answer: &Response) -> u64 {
    let length = answer
        .headers()
        .get("content-length")
        .and_then(|text| text.to_str().ok());
    length
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

fn assert_it_runs(folder: &Path, image: &str) -> anyhow::Result<()> {
    let ran = apptainer(folder, &["run", image, "world"])?.success()?;
    let hello = apptainer(folder, &["exec", image, "hello", "-t"])?.success()?;
    let files = [
        "exec",
        image,
        "cat",
        "/setup.txt",
        "/opt/spaced.txt",
        "/opt/uid.txt",
    ];
    let files = apptainer(folder, &files)?.success()?;
    let tested = apptainer(folder, &["test", image])?.success()?;

    assert_eq!(
        ran,
        "hello from the environment: world\ngreetings from a file\n"
    );
    assert_eq!(hello, "hello, world\n");
    assert_eq!(files, "made by setup\nspaced\n0\n");
    assert_eq!(tested, "the test ran\n");
    Ok(())
}

fn assert_it_can_be_inspected(folder: &Path, image: &str) -> anyhow::Result<()> {
    let inspect = |what| apptainer(folder, &["inspect", what, image])?.success();

    assert!(inspect("--labels")?.contains("Maintainer: Tester"));
    assert!(inspect("--runscript")?.contains("cat /opt/greeting.txt"));
    assert!(inspect("--startscript")?.contains("exec sleep 60"));
    assert!(inspect("--environment")?.contains("hello from the environment"));
    assert!(inspect("--test")?.contains("grep -q setup /setup.txt"));
    assert!(inspect("--helpfile")?.contains("Say hello with"));
    assert_eq!(inspect("--deffile")?.trim_end(), RECIPE.trim_end());
    Ok(())
}
