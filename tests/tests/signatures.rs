//! Who signed an image: the hub, or somebody whose key is in its keystore, as Apptainer sees it.

use std::path::Path;

use anyhow::Context as _;
use cooperage_protocol::BuildState;
use cooperage_protocol::admin::{Key, KeyUse};
use cooperage_tests::{Account, Client, Forge, Hub, Options, Repository, http};

/// Apptainer sends no token to a keystore that is not encrypted, but for this one.
const NAME: &str = "localhost";
const LIBRARY: &str = "library://lab/tool/tool:mine";
const RECIPE: &str = "Bootstrap: docker\nFrom: busybox\n\n%post\n    echo signed > /signed.txt\n";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn apptainer_verifies_what_the_hub_built_and_what_people_signed() -> anyhow::Result<()> {
    let hub = Hub::start_with(Options {
        port: Some(80),
        settings: format!("public_url = \"http://{NAME}\"\n"),
        ..Options::default()
    })?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/tool")?;
    repository.write("Singularity.v1", RECIPE)?;
    repository.push()?;
    let builds = hub.finished_builds("lab/tool", 1)?;
    assert_eq!(builds[0].state, BuildState::Succeeded, "{:?}", builds[0]);
    let keys: Vec<Key> = hub.json(&["key", "list"])?;
    assert_eq!((keys.len(), keys[0].usage), (1, KeyUse::Signs));
    let hubs = &keys[0].fingerprint;

    let stranger = Machine(Client::at(&hub, NAME, "stranger", None)?);
    stranger.assert_built_is_verified(&hub, "v1.sif", hubs)?;
    stranger.assert_changes_are_seen("v1.sif")?;
    let page = page(&hub, "/lab/tool/tags/v1")?;
    assert!(
        page.contains("this hub: valid") && page.contains(hubs),
        "{page}"
    );

    let rotated: Key = hub.json(&["key", "rotate"])?;
    assert_ne!(&rotated.fingerprint, hubs);
    stranger.forget_keys()?;
    stranger.assert_built_is_verified(&hub, "again.sif", hubs)?;

    let mine = sign_and_push(&hub, &stranger.0.file("v1.sif"))?;
    stranger.forget_keys()?;
    stranger.run(&["pull", "theirs.sif", LIBRARY])?;
    let verified = stranger.run(&["verify", "--json", "theirs.sif"])?;
    assert!(verified.to_uppercase().contains(&mine), "{verified}");
    stranger.run(&["key", "pull", &mine])?;
    assert_built_on_signed(&hub, &repository, &mine, hubs)?;
    let all: Vec<Key> = hub.json(&["key", "list"])?;
    let usage = |fingerprint: &str| all.iter().find(|key| key.fingerprint == fingerprint);
    let usage = |fingerprint| usage(fingerprint).map(|key| key.usage);
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(usage(hubs), Some(KeyUse::Signed));
    assert_eq!(usage(&mine), Some(KeyUse::Added));
    Ok(())
}

fn page(hub: &Hub, path: &str) -> anyhow::Result<String> {
    let page = http::client()?.get(hub.url(path)).send()?;
    Ok(page.error_for_status()?.text()?)
}

/// Ada signs an image that the hub has not seen, made of one that it built, and pushes it before and
/// after her key; gives her fingerprint.
fn sign_and_push(hub: &Hub, built: &Path) -> anyhow::Result<String> {
    let account = Account::make(hub, "ada", &["push"])?;
    hub.cooperage(&["collection", "member", "set", "lab/tool", "ada", "builder"])?
        .success()?;
    let ada = Machine(Client::at(hub, NAME, "ada", Some(&account.token))?);
    let mine = ada.new_key()?;
    let definition = format!("Bootstrap: localimage\nFrom: {}\n", built.display());
    std::fs::write(ada.0.file("mine.def"), definition)?;
    ada.run(&["build", "mine.sif", "mine.def"])?;
    ada.run(&["sign", "mine.sif"])?;

    ada.run(&["push", "mine.sif", LIBRARY])?;
    let told = "the key is not in this keystore";
    let before = page(hub, "/lab/tool/tags/mine")?;
    assert!(before.contains(told) && before.contains(&mine), "{before}");
    ada.run(&["key", "push", &mine])?;
    // Without a port the name would be a repository of Docker's.
    ada.run(&[
        "push",
        "mine.sif",
        &format!("oras://{NAME}:80/lab/tool:by-oras"),
    ])?;
    for tag in ["mine", "by-oras"] {
        let after = page(hub, &format!("/lab/tool/tags/{tag}"))?;
        for told in ["Ada (x)", "which ada added", ": valid"] {
            assert!(after.contains(told), "{tag}: {told}: {after}");
        }
        assert!(!after.contains(told), "{tag}: {after}");
    }
    Ok(mine)
}

/// The worker has nobody's key: it asks its hub.
fn assert_built_on_signed(
    hub: &Hub,
    repository: &Repository,
    ada: &str,
    other: &str,
) -> anyhow::Result<()> {
    for (name, key) in [("on-adas", ada), ("on-others", other)] {
        let from = format!("Library: http://{NAME}\nFrom: lab/tool/tool:mine");
        let recipe = format!("Bootstrap: library\n{from}\nFingerprints: {key}\n");
        repository.write(&format!("Singularity.{name}"), &recipe)?;
    }
    repository.push()?;
    let builds = hub.finished_builds("lab/tool", 3)?;
    let of = |tag: &str| builds.iter().find(|build| build.tag.as_str() == tag);
    let built = of("on-adas").context("it was built")?;
    let log = hub.build_log(built)?;
    assert_eq!(built.state, BuildState::Succeeded, "{built:?}\n{log}");
    assert!(log.contains(&format!("for the key {ada}")), "{log}");
    let failure = of("on-others").and_then(|build| build.failure.clone());
    let message = failure.context("it failed")?.message;
    assert!(
        message.contains("it has no signature of the key"),
        "{message}"
    );
    Ok(())
}

/// A machine where the hub is the remote that is used.
struct Machine<'a>(Client<'a>);

impl Machine<'_> {
    fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.0.apptainer(arguments)?.success()
    }

    /// As on a machine that knows nobody's key.
    fn forget_keys(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_dir_all(self.0.file(".apptainer/keys"))?)
    }

    fn assert_built_is_verified(&self, hub: &Hub, file: &str, key: &str) -> anyhow::Result<()> {
        self.run(&["pull", file, &format!("shub://{NAME}/lab/tool:v1")])?;
        let verified = self.run(&["verify", "--json", file])?;
        assert!(verified.to_uppercase().contains(key), "{verified}");
        let url = format!("http://{}", hub.address());
        self.run(&["verify", "--url", &url, file])?;
        self.run(&["exec", file, "cat", "/signed.txt"])?;
        let found = self.run(&["key", "search", &format!("0x{key}")])?;
        assert!(found.contains("Cooperage hub"), "{found}");
        Ok(())
    }

    /// Of the definition, of the file system, and of what is said of them.
    fn assert_changes_are_seen(&self, file: &str) -> anyhow::Result<()> {
        let bytes = std::fs::read(self.0.file(file))?;
        let definition = bytes
            .windows(17)
            .position(|some| some == b"Bootstrap: docker");
        let definition = definition.context("it has its definition")?;
        for place in [50, 4096 + 41, definition, bytes.len() - 20_000] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            std::fs::write(self.0.file("changed.sif"), &changed)?;
            let verified = self.0.apptainer(&["verify", "changed.sif"])?;
            assert!(!verified.status.success(), "byte {place} was changed");
        }
        Ok(())
    }

    /// Makes Ada's key; gives its fingerprint.
    fn new_key(&self) -> anyhow::Result<String> {
        let ada = ["--name", "Ada", "--email", "ada@example.org"];
        let rest = ["--comment", "x", "--password", "", "--push=false"];
        self.run(&[&["key", "newpair"], &ada[..], &rest[..]].concat())?;
        let list = self.run(&["key", "list"])?;
        let line = list.lines().find(|line| line.contains("Fingerprint:"));
        let words = line.with_context(|| list.clone())?.split_whitespace();
        let digits = words.last().unwrap_or_default().to_uppercase();
        anyhow::ensure!(digits.len() == 40, "{list}");
        Ok(digits)
    }
}
