//! Whatever is killed, every accepted push ends in exactly one published image.

use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use cooperage_protocol::admin::Build;
use cooperage_protocol::worker::{Assignment, Claim, Offer, OfferedObject};
use cooperage_protocol::{BuildState, Digest};
use cooperage_tests::process::{self, Process};
use cooperage_tests::{Forge, Hub, Options, Repository, http, pull, wait};

const LONGEST: Duration = Duration::from_mins(2);

fn options(workers: u32) -> Options {
    let settings = "lease_seconds = 10\nattempts = 5\n".to_owned();
    Options {
        workers,
        settings,
        ..Options::default()
    }
}

/// Pushes a recipe that says `halfway` and then takes its time.
fn push_slow_recipe(hub: &Hub, forge: &Forge) -> anyhow::Result<Repository> {
    let repository = forge.connect(hub, "lab/slow")?;
    let script = "%post\n    echo halfway\n    sleep 8\n    echo finished > /finished\n";
    let registry = &hub.world.registry;
    let recipe = format!("Bootstrap: docker\nFrom: {registry}/library/busybox\n\n{script}");
    repository.write("Singularity", recipe)?;
    repository.push()?;
    Ok(repository)
}

fn wait_until_halfway(hub: &Hub) -> anyhow::Result<Build> {
    wait::until("a build that is halfway", LONGEST, || {
        let running = |build: &Build| build.state == BuildState::Running;
        let Some(build) = hub.builds("lab/slow")?.into_iter().find(running) else {
            return Ok(None);
        };
        Ok(hub
            .build_log(&build)?
            .contains("\nhalfway")
            .then_some(build))
    })
}

fn assert_one_whole_image(hub: &Hub) -> anyhow::Result<()> {
    let builds = hub.finished_builds("lab/slow", 1)?;
    let log = hub.build_log(&builds[0])?;
    assert_eq!(builds.len(), 1, "{builds:?}");
    assert_eq!(
        builds[0].state,
        BuildState::Succeeded,
        "{:?}\n{log}",
        builds[0].failure
    );
    let image = builds[0]
        .image
        .as_ref()
        .expect("a build that succeeded has an image");
    pull::download(hub, "lab/slow:latest", image.digest)?;
    let kept = "SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM builds)";
    assert_eq!(hub.query(kept)?, "1|1");
    let mut find = Command::new("find");
    find.arg(hub.data().join("objects/uploads"))
        .args(["-type", "f"]);
    assert_eq!(process::run(&mut find, LONGEST)?.success()?, "");
    Ok(())
}

fn start_worker(hub: &Hub, name: &str) -> anyhow::Result<Process> {
    let file = hub.folder().join(format!("{name}.token"));
    std::fs::write(&file, hub.add_worker(name)?.token)?;
    let mut command = process::command_as(hub.world.user.as_deref(), &hub.world.cooperage);
    command
        .args(["work", "--hub", &hub.url("")])
        .arg("--token-file")
        .arg(&file);
    for folder in ["cache", "scratch"] {
        command
            .arg(format!("--{folder}"))
            .arg(hub.folder().join(format!("worker-{folder}")));
    }
    Process::start(&mut command, &hub.folder().join("worker.log"))
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_build_survives_the_death_of_its_worker() -> anyhow::Result<()> {
    let hub = Hub::start_with(options(0))?;
    let forge = Forge::start()?;
    let mut first = start_worker(&hub, "first")?;
    let _repository = push_slow_recipe(&hub, &forge)?;
    wait_until_halfway(&hub)?;
    let scripts = process::descendants(first.id())?;

    first.kill()?;
    let _second = start_worker(&hub, "second")?;

    assert!(!scripts.is_empty(), "the build had processes");
    wait::until("the end of the dead worker's scripts", LONGEST, || {
        let alive = scripts
            .iter()
            .any(|(id, _)| Path::new(&format!("/proc/{id}")).exists());
        Ok((!alive).then_some(()))
    })?;
    assert_one_whole_image(&hub)?;
    assert_eq!(hub.builds("lab/slow")?[0].attempt, 2);
    assert_eq!(trees_left(&hub)?, "");
    Ok(())
}

/// What builds left in the scratch folder of the workers started by hand.
fn trees_left(hub: &Hub) -> anyhow::Result<String> {
    let mut find = Command::new("find");
    find.arg(hub.folder().join("worker-scratch")).args([
        "-mindepth",
        "1",
        "-not",
        "-name",
        "*.lock",
    ]);
    process::run(&mut find, LONGEST)?.success()
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_build_survives_the_death_of_the_hub() -> anyhow::Result<()> {
    let mut hub = Hub::start_with(options(1))?;
    let forge = Forge::start()?;
    let _repository = push_slow_recipe(&hub, &forge)?;
    wait_until_halfway(&hub)?;

    hub.process()?.kill()?;
    hub.restart()?;

    assert_one_whole_image(&hub)
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_build_survives_the_death_of_postgres() -> anyhow::Result<()> {
    let mut hub = Hub::start_with(options(1))?;
    let forge = Forge::start()?;
    let _repository = push_slow_recipe(&hub, &forge)?;
    wait_until_halfway(&hub)?;

    process::signal("KILL", &[postgres(&hub)?])?;
    std::thread::sleep(Duration::from_secs(5));
    if hub.process()?.has_ended()? {
        hub.restart()?;
    }
    hub.wait_until_healthy()?;

    assert_one_whole_image(&hub)
}

/// The first process of the hub's Postgres, from the file it writes.
fn postgres(hub: &Hub) -> anyhow::Result<u32> {
    let mut find = Command::new("find");
    find.arg(hub.data()).args(["-name", "postmaster.pid"]);
    let file = process::run(&mut find, LONGEST)?.success()?;
    let content = std::fs::read_to_string(file.trim())?;
    let id = content
        .lines()
        .next()
        .context("the file of Postgres is empty")?;
    Ok(id.trim().parse()?)
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn an_upload_that_the_hub_did_not_survive_leaves_nothing_behind() -> anyhow::Result<()> {
    let mut hub = Hub::start_with(options(0))?;
    let forge = Forge::start()?;
    let _repository = push_slow_recipe(&hub, &forge)?;
    let token = hub.add_worker("by-hand")?.token;
    let assignment = claim(&hub, &token)?;
    let digest: Digest = pull::sha256(b"never complete").parse()?;
    let upload = start_upload(&hub, &token, &assignment, digest);
    std::thread::sleep(Duration::from_secs(1));

    hub.process()?.kill()?;
    assert!(upload.join().expect("the upload does not panic").is_err());
    hub.restart()?;

    assert!(
        pull::manifest(&hub, "lab/slow:latest")?.is_none(),
        "nothing is published yet"
    );
    let mut find = Command::new("find");
    find.arg(hub.data()).args(["-name", &digest.hex()[2..]]);
    assert_eq!(process::run(&mut find, LONGEST)?.success()?, "");
    let _worker = start_worker(&hub, "real")?;
    assert_one_whole_image(&hub)
}

fn claim(hub: &Hub, token: &str) -> anyhow::Result<Assignment> {
    let architecture = "amd64".to_owned();
    let claim = Claim {
        wait_seconds: 20,
        architecture,
        version: "test".to_owned(),
        abilities: Vec::new(),
    };
    wait::until("an assignment", LONGEST, || {
        let request = http::client()?
            .post(hub.url("/worker/claim"))
            .bearer_auth(token);
        let answer = request.json(&claim).send()?.error_for_status()?;
        Ok(if answer.status() == 204 {
            None
        } else {
            Some(answer.json()?)
        })
    })
}

/// Sends the first half of an object and then nothing more.
fn start_upload(
    hub: &Hub,
    token: &str,
    assignment: &Assignment,
    digest: Digest,
) -> std::thread::JoinHandle<anyhow::Result<()>> {
    let Assignment { build, attempt, .. } = assignment;
    let objects = hub.url(&format!("/worker/builds/{build}/{attempt}/objects"));
    let token = token.to_owned();
    std::thread::spawn(move || {
        let offer = Offer {
            objects: vec![OfferedObject {
                digest,
                size: 2 << 20,
            }],
        };
        let request = http::client()?.post(&objects).bearer_auth(&token);
        request.json(&offer).send()?.error_for_status()?;
        let url = format!("{objects}/{digest}");
        let body = reqwest::blocking::Body::sized(HalfAnObject(1 << 20), 2 << 20);
        let request = http::client()?.put(url).bearer_auth(token).body(body);
        request.send()?.error_for_status()?;
        Ok(())
    })
}

/// So many bytes, and then a long silence.
struct HalfAnObject(usize);

impl Read for HalfAnObject {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            std::thread::sleep(Duration::from_secs(5));
        }
        let count = buffer.len().min(self.0);
        buffer[..count].fill(7);
        self.0 -= count;
        Ok(count)
    }
}
