//! Who signed an image: the hub, or somebody whose key is in its keystore, as Apptainer sees it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use cooperage_protocol::BuildState;
use cooperage_protocol::accounts::AddedToken;
use cooperage_protocol::admin::{Key, KeyUse};
use cooperage_tests::{Forge, Hub, Options, http, process, settings};

/// Apptainer sends no token to a keystore that is not encrypted, but for this one.
const NAME: &str = "localhost";

const LONGEST: Duration = Duration::from_mins(5);
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

    let client = Client::new(&hub)?;
    client.assert_built_is_verified("v1.sif", hubs)?;
    client.assert_changes_are_seen("v1.sif")?;
    let page = page(&hub, "/lab/tool/tags/v1")?;
    assert!(
        page.contains("this hub: valid") && page.contains(hubs),
        "{page}"
    );

    let rotated: Key = hub.json(&["key", "rotate"])?;
    assert_ne!(&rotated.fingerprint, hubs);
    client.forget_keys()?;
    client.assert_built_is_verified("again.sif", hubs)?;

    client.assert_signs_and_pushes(hubs)
}

fn page(hub: &Hub, path: &str) -> anyhow::Result<String> {
    let page = http::client()?.get(hub.url(path)).send()?;
    Ok(page.error_for_status()?.text()?)
}

/// Somebody's machine, where the hub is the remote that is used.
struct Client<'a> {
    hub: &'a Hub,
    home: PathBuf,
}

impl<'a> Client<'a> {
    fn new(hub: &'a Hub) -> anyhow::Result<Self> {
        let home = hub.folder().join("client");
        std::fs::create_dir_all(&home)?;
        let client = Self { hub, home };
        let add = ["remote", "add", "--insecure", "--no-login", "hub", NAME];
        client.apptainer(&add)?.success()?;
        client.apptainer(&["remote", "use", "hub"])?.success()?;
        Ok(client)
    }

    fn apptainer(&self, arguments: &[&str]) -> anyhow::Result<process::Output> {
        let mut command = Command::new(settings::tool("apptainer"));
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .env("APPTAINER_NOHTTPS", "1")
            .env("APPTAINER_DISABLE_CACHE", "1")
            .env("APPTAINER_CONFIGDIR", self.home.join(".apptainer"))
            .env("APPTAINER_KEYSDIR", self.home.join("keys"))
            .env("HOME", &self.home)
            .current_dir(&self.home)
            .args(arguments);
        process::run(&mut command, LONGEST)
    }

    /// As on a machine that knows nobody's key.
    fn forget_keys(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_dir_all(self.home.join("keys"))?)
    }

    fn assert_built_is_verified(&self, file: &str, key: &str) -> anyhow::Result<()> {
        let address = format!("shub://{NAME}/lab/tool:v1");
        self.apptainer(&["pull", file, &address])?.success()?;
        let verified = self.apptainer(&["verify", "--json", file])?.success()?;
        assert!(verified.to_uppercase().contains(key), "{verified}");
        let url = format!("http://{}", self.hub.address());
        self.apptainer(&["verify", "--url", &url, file])?
            .success()?;
        self.apptainer(&["exec", file, "cat", "/signed.txt"])?
            .success()?;
        let found = self.apptainer(&["key", "search", &format!("0x{key}")])?;
        let found = found.success()?;
        assert!(found.contains("Cooperage hub"), "{found}");
        Ok(())
    }

    /// Of the definition, of the file system, and of what is said of them.
    fn assert_changes_are_seen(&self, file: &str) -> anyhow::Result<()> {
        let bytes = std::fs::read(self.home.join(file))?;
        let definition = bytes
            .windows(17)
            .position(|some| some == b"Bootstrap: docker");
        let definition = definition.context("it has its definition")?;
        for place in [50, 4096 + 41, definition, bytes.len() - 20_000] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            std::fs::write(self.home.join("changed.sif"), &changed)?;
            let verified = self.apptainer(&["verify", "changed.sif"])?;
            assert!(!verified.status.success(), "byte {place} was changed");
        }
        Ok(())
    }

    fn assert_signs_and_pushes(&self, hubs: &str) -> anyhow::Result<()> {
        std::fs::write(self.home.join("token"), self.new_token()?)?;
        let login = ["remote", "login", "--tokenfile", "token", "hub"];
        self.apptainer(&login)?.success()?;
        let pair = [
            "--name",
            "Ada",
            "--email",
            "ada@example.org",
            "--comment",
            "x",
        ];
        let new = [
            &["key", "newpair"],
            &pair[..],
            &["--password", "", "--push=false"],
        ]
        .concat();
        self.apptainer(&new)?.success()?;
        let mine = self.fingerprint()?;

        self.build_and_sign("mine.sif")?;
        let library = "library://lab/tool/tool:mine";
        self.apptainer(&["push", "mine.sif", library])?.success()?;
        let before = page(self.hub, "/lab/tool/tags/mine")?;
        let told = "the key is not in this keystore";
        assert!(before.contains(told) && before.contains(&mine), "{before}");
        self.apptainer(&["key", "push", &mine])?.success()?;
        let after = page(self.hub, "/lab/tool/tags/mine")?;
        assert!(
            after.contains("Ada (x)") && after.contains("which admin added"),
            "{after}"
        );
        assert!(
            after.contains(": valid") && !after.contains(told),
            "{after}"
        );

        self.push_by_oras("mine.sif")?;
        self.forget_keys()?;
        self.apptainer(&["pull", "theirs.sif", library])?
            .success()?;
        let verified = self.apptainer(&["verify", "--json", "theirs.sif"])?;
        assert!(verified.success()?.to_uppercase().contains(&mine));
        self.apptainer(&["key", "pull", &mine])?.success()?;
        let all: Vec<Key> = self.hub.json(&["key", "list"])?;
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all.iter().any(|key| key.fingerprint == hubs));
        assert!(
            all.iter()
                .any(|key| key.fingerprint == mine && key.usage == KeyUse::Added)
        );
        Ok(())
    }

    fn fingerprint(&self) -> anyhow::Result<String> {
        let list = self.apptainer(&["key", "list"])?.success()?;
        let line = list.lines().find(|line| line.contains("Fingerprint:"));
        let words = line.with_context(|| list.clone())?.split_whitespace();
        let digits = words.last().unwrap_or_default().to_uppercase();
        anyhow::ensure!(digits.len() == 40, "{list}");
        Ok(digits)
    }

    /// Of the administrator, as long as Apptainer wants a token to be.
    fn new_token(&self) -> anyhow::Result<String> {
        let first = std::fs::read_to_string(self.hub.data().join("admin-token"))?;
        let wanted = serde_json::json!({ "name": "laptop", "scopes": ["push"], "days": 1 });
        let call = http::client()?.post(self.hub.url("/api/tokens"));
        let made = call.bearer_auth(first.trim()).json(&wanted).send()?;
        let made: AddedToken = made.error_for_status()?.json()?;
        Ok(made.token)
    }

    /// An image that the hub has not seen, made of the one that it built.
    fn build_and_sign(&self, file: &str) -> anyhow::Result<()> {
        let definition = "Bootstrap: localimage\nFrom: v1.sif\n";
        std::fs::write(self.home.join("mine.def"), definition)?;
        self.apptainer(&["build", "--force", file, "mine.def"])?
            .success()?;
        self.apptainer(&["sign", file])?.success()?;
        Ok(())
    }

    fn push_by_oras(&self, file: &str) -> anyhow::Result<()> {
        let token = std::fs::read_to_string(self.home.join("token"))?;
        let account = base64::engine::general_purpose::STANDARD.encode(format!("admin:{token}"));
        // Without a port the name would be a repository of Docker's.
        let host = format!("{NAME}:80");
        let auths = serde_json::json!({ "auths": { &host: { "auth": account } } });
        let config = self.home.join(".apptainer/docker-config.json");
        std::fs::write(config, auths.to_string())?;
        let address = format!("oras://{host}/lab/tool:by-oras");
        self.apptainer(&["push", file, &address])?.success()?;
        let page = page(self.hub, "/lab/tool/tags/by-oras")?;
        assert!(
            page.contains("Ada (x)") && page.contains(": valid"),
            "{page}"
        );
        Ok(())
    }
}
