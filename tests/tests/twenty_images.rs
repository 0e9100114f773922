//! Twenty images of one base cost the hub, the worker and those who pull little more than one.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cooperage_protocol::BuildState;
use cooperage_protocol::admin::{Build, BuiltImage, StoreUsage};
use cooperage_tests::proxy::Proxy;
use cooperage_tests::{Forge, Hub, Repository, process, pull};

const NAME: &str = "lab/tools";
const LONGEST: Duration = Duration::from_mins(5);

/// What an image has of its own, in bytes; nothing makes it smaller.
const OWN: u64 = 1 << 20;
/// What an image may cost of which the base is here.
const MOST_FOR_ONE: u64 = 3_000_000;
/// What twenty images may take besides their base.
const MOST_FOR_ALL: u64 = 30_000_000;

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn the_twentieth_image_of_a_base_costs_no_more_than_what_is_its_own() -> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, NAME)?;
    for number in 1..20 {
        write_recipe(&repository, number)?;
    }
    repository.push()?;
    assert_built(&hub.finished_builds(NAME, 19)?);
    let before: StoreUsage = hub.json(&["store", "show"])?;
    write_recipe(&repository, 20)?;
    repository.push()?;
    let builds = hub.finished_builds(NAME, 20)?;
    assert_built(&builds);
    let after: StoreUsage = hub.json(&["store", "show"])?;

    assert_eq!(after.images, 20);
    let sent = after.object_bytes - before.object_bytes;
    assert!(
        (OWN..MOST_FOR_ONE).contains(&sent),
        "{sent} bytes were sent"
    );
    let base = image(&builds, 1).size - OWN;
    let taken = taken(&hub.data().join("objects"))?;
    assert!(
        taken < base + MOST_FOR_ALL,
        "the store takes {taken} bytes, the base {base}"
    );
    assert_pulled(&hub, &builds, base)
}

fn write_recipe(repository: &Repository, number: usize) -> anyhow::Result<()> {
    let own = format!("data/{number}");
    let recipe = format!("Bootstrap: docker\nFrom: debian:bookworm\n\n%files\n    {own} /own\n");
    repository.write(&format!("Singularity.v{number}"), recipe)?;
    let mut bytes = Vec::new();
    File::open("/dev/urandom")?
        .take(OWN)
        .read_to_end(&mut bytes)?;
    repository.write(&own, bytes)
}

fn assert_built(builds: &[Build]) {
    for build in builds {
        let (state, failure) = (build.state, &build.failure);
        assert_eq!(state, BuildState::Succeeded, "{}: {failure:?}", build.tag);
    }
}

fn image(builds: &[Build], number: usize) -> &BuiltImage {
    let tag = format!("v{number}");
    let build = builds.iter().find(|build| build.tag.as_str() == tag);
    let image = build.and_then(|build| build.image.as_ref());
    image.unwrap_or_else(|| panic!("there is no image {tag}"))
}

/// What the files of a folder take on disk.
fn taken(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() {
            taken(&entry.path())?
        } else {
            found.blocks() * 512
        };
    }
    Ok(bytes)
}

/// The base comes with the first image that is pulled, and not again; clients that know nothing of
/// pieces get the same files.
fn assert_pulled(hub: &Hub, builds: &[Build], base: u64) -> anyhow::Result<()> {
    let proxy = Proxy::before(hub.address())?;
    let url = |number| format!("http://{}/{NAME}/v{number}.sif", proxy.address());
    let whole = image(builds, 19).size;

    assert_eq!(ours(hub, "19.sif", &url(19))?, digest_of(builds, 19));
    let received = proxy.take_received();
    assert!(received > base / 2, "{received} bytes of {whole} were seen");
    assert_eq!(ours(hub, "20.sif", &url(20))?, digest_of(builds, 20));
    let received = proxy.take_received();
    assert!(
        (OWN..MOST_FOR_ONE).contains(&received),
        "{received} bytes were received"
    );
    assert_eq!(curl(hub, "plain.sif", &url(20))?, digest_of(builds, 20));
    let received = proxy.take_received();
    assert!(received > whole, "{received} bytes of {whole} were seen");
    Ok(())
}

fn digest_of(builds: &[Build], number: usize) -> String {
    image(builds, number).digest.to_string()
}

/// Pulls with the program under test and a cache of the story's own; gives the file's digest.
fn ours(hub: &Hub, file: &str, url: &str) -> anyhow::Result<String> {
    let mut command = process::command_as(hub.world.user.as_deref(), "env");
    let cache = hub.folder().join("pulled");
    command
        .arg(format!("COOPERAGE_CACHE={}", cache.display()))
        .arg(&hub.world.cooperage)
        .args(["pull", file, url]);
    fetch(&mut command, hub, file)
}

fn curl(hub: &Hub, file: &str, url: &str) -> anyhow::Result<String> {
    let mut command = Command::new("curl");
    command.args(["--fail", "--silent", "--show-error", "--output", file, url]);
    fetch(&mut command, hub, file)
}

fn fetch(command: &mut Command, hub: &Hub, file: &str) -> anyhow::Result<String> {
    process::run(command.current_dir(hub.folder()), LONGEST)?.success()?;
    Ok(pull::sha256(&fs::read(hub.folder().join(file))?))
}
