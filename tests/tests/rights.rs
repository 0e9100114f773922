//! A private image: for nobody without a token, and for its readers by every protocol.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use cooperage_protocol::BuildState;
use cooperage_protocol::accounts::{AddedToken, Invitation, Token};
use cooperage_tests::{Forge, Hub, Options, http, process, pull, settings};
use reqwest::header;

/// A remote of Apptainer has no place for a port.
const HOST: &str = "127.0.0.13";

const LONGEST: Duration = Duration::from_mins(5);
const PASSWORD: &str = "correct horse battery";
const RECIPE: &str = "Bootstrap: docker\nFrom: busybox\n\n%post\n    echo hidden > /hidden.txt\n";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_private_image_is_for_its_readers_alone_until_their_token_is_revoked() -> anyhow::Result<()> {
    let hub = Hub::start_with(Options {
        host: HOST,
        port: Some(80),
        ..Options::default()
    })?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/secret")?;
    hub.cooperage(&["collection", "set", "lab/secret", "--visibility", "private"])?
        .success()?;
    repository.write("Singularity.v1", RECIPE)?;
    repository.push()?;
    let builds = hub.finished_builds("lab/secret", 1)?;
    assert_eq!(builds[0].state, BuildState::Succeeded, "{:?}", builds[0]);
    let digest = builds[0]
        .image
        .as_ref()
        .expect("it has an image")
        .digest
        .to_string();

    let stranger = Client::new(&hub, "stranger", None)?;
    stranger.assert_refused("without a token")?;
    assert_nothing_is_told(&hub, &builds[0].id.to_string())?;

    let (cookie, token) = settle(&hub)?;
    hub.cooperage(&["collection", "member", "set", "lab/secret", "ada", "reader"])?
        .success()?;
    let reader = Client::new(&hub, "reader", Some(&token))?;
    reader.assert_pulled(&digest)?;

    revoke(&hub, &cookie)?;
    reader.assert_refused("after the token was revoked")?;
    for secret in [token.as_str(), PASSWORD, "/auth/invitation#"] {
        assert!(!hub.log().contains(secret), "the hub's log tells a secret");
    }
    Ok(())
}

/// Makes the account ada, and a token of it that reads; gives the session's cookie and the token.
fn settle(hub: &Hub) -> anyhow::Result<(String, String)> {
    let invitation: Invitation = hub.json(&["user", "add", "ada"])?;
    let (_, code) = invitation.url.split_once('#').context("no code")?;
    let taken = reqwest::blocking::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?
        .post(hub.url("/auth/invitation"))
        .form(&[("code", code), ("password", PASSWORD)])
        .send()?;
    let cookie = taken
        .headers()
        .get(header::SET_COOKIE)
        .context("no session")?;
    let cookie = cookie
        .to_str()?
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned();
    let body = serde_json::json!({ "name": "laptop", "scopes": ["read"], "days": 1 });
    let made = http::client()?
        .post(hub.url("/api/tokens"))
        .header(header::COOKIE, &cookie)
        .json(&body)
        .send()?;
    let made: AddedToken = made.error_for_status()?.json()?;
    Ok((cookie, made.token))
}

fn revoke(hub: &Hub, cookie: &str) -> anyhow::Result<()> {
    let url = hub.url("/api/tokens");
    let client = http::client()?;
    let tokens: Vec<Token> = client
        .get(&url)
        .header(header::COOKIE, cookie)
        .send()?
        .json()?;
    let revoked = client.delete(format!("{url}/{}", tokens[0].id));
    revoked
        .header(header::COOKIE, cookie)
        .send()?
        .error_for_status()?;
    Ok(())
}

/// Nobody can tell the collection, or a build of it, from one that is not there.
fn assert_nothing_is_told(hub: &Hub, build: &str) -> anyhow::Result<()> {
    let told = |path: &str| -> anyhow::Result<(u16, String)> {
        let answer = http::client()?.get(hub.url(path)).send()?;
        Ok((answer.status().as_u16(), answer.text()?))
    };
    for path in [
        "/lab/secret",
        "/lab/secret/v1.sif",
        "/lab/secret/tags/v1",
        "/lab/secret/deliveries",
        "/api/container/lab/secret:v1",
        "/v1/images/lab/secret/secret:v1",
        "/v2/lab/secret/tags/list",
    ] {
        let (status, body) = told(path)?;
        let (other, of_none) = told(&path.replace("secret", "absent"))?;
        assert_eq!(
            (status, body.replace("secret", "absent")),
            (other, of_none),
            "{path}"
        );
        assert!(status == 404 || status == 401, "{path}: {status}");
    }
    let absent = "00000000-0000-7000-8000-000000000000";
    for path in [format!("/builds/{build}"), format!("/builds/{build}/log")] {
        let (status, body) = told(&path)?;
        assert_eq!(status, 404, "{path}");
        assert_eq!(
            body.replace(build, absent),
            told(&path.replace(build, absent))?.1
        );
    }
    for path in [
        "/",
        "/?q=secret",
        "/queue",
        "/api/collections",
        "/api/builds",
    ] {
        assert!(!told(path)?.1.contains("lab/secret"), "{path}");
    }
    Ok(())
}

/// Somebody's machine: what clients keep of an account lies in its home.
struct Client<'a> {
    hub: &'a Hub,
    home: PathBuf,
}

impl<'a> Client<'a> {
    fn new(hub: &'a Hub, name: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let home = hub.folder().join(name);
        let client = Self { hub, home };
        std::fs::create_dir_all(client.home.join(".apptainer"))?;
        std::fs::write(client.accounts(), r#"{"auths": {}}"#)?;
        if let Some(user) = &hub.world.user {
            process::run(Command::new("chown").arg(user).arg(&client.home), LONGEST)?.success()?;
        }
        let add = ["remote", "add", "--insecure", "--no-login", "hub", HOST];
        client.apptainer(&add)?.success()?;
        client.apptainer(&["remote", "use", "hub"])?.success()?;
        if let Some(token) = token {
            client.log_in(token)?;
        }
        Ok(client)
    }

    fn log_in(&self, token: &str) -> anyhow::Result<()> {
        let file = self.home.join("token");
        std::fs::write(&file, token)?;
        let given = file.to_str().context("a path of no text")?;
        self.apptainer(&["remote", "login", "--tokenfile", given, "hub"])?
            .success()?;
        let account = base64::engine::general_purpose::STANDARD.encode(format!("ada:{token}"));
        let auths = serde_json::json!({ "auths": { HOST: { "auth": account } } });
        std::fs::write(self.accounts(), auths.to_string())?;
        self.ours(&format!("login http://{HOST} < {given}"))?
            .success()?;
        Ok(())
    }

    fn accounts(&self) -> PathBuf {
        self.home.join(".apptainer/docker-config.json")
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
            .env("HOME", &self.home)
            .current_dir(&self.home)
            .args(arguments);
        process::run(&mut command, LONGEST)
    }

    fn skopeo(&self) -> anyhow::Result<process::Output> {
        let mut command = Command::new("skopeo");
        command.args(["inspect", "--raw", "--tls-verify=false", "--authfile"]);
        command.arg(self.accounts());
        command.arg(format!("docker://{HOST}/lab/secret:v1"));
        process::run(&mut command, LONGEST)
    }

    /// Our program, by a shell: a token comes from a file.
    fn ours(&self, words: &str) -> anyhow::Result<process::Output> {
        let program = self.hub.world.cooperage.display();
        let home = self.home.display();
        let mut command = process::command_as(self.hub.world.user.as_deref(), "sh");
        let line = format!("cd {home} && HOME={home} {program} {words}");
        process::run(command.args(["-c", &line]), LONGEST)
    }

    fn assert_refused(&self, when: &str) -> anyhow::Result<()> {
        for address in addresses() {
            let pulled = self.apptainer(&["pull", "--force", "refused.sif", &address])?;
            assert!(!pulled.status.success(), "{when}: {address}");
            assert!(!self.home.join("refused.sif").exists(), "{when}: {address}");
            let pulled = self.ours(&format!("pull --force ours-refused.sif {address}"))?;
            assert!(!pulled.status.success(), "{when}: {address} by ours");
        }
        assert!(!self.skopeo()?.status.success(), "{when}: skopeo");
        Ok(())
    }

    fn assert_pulled(&self, digest: &str) -> anyhow::Result<()> {
        for address in addresses().into_iter().skip(2) {
            self.apptainer(&["pull", "--force", "pulled.sif", &address])?
                .success()?;
            assert_eq!(
                digest_of(&self.home.join("pulled.sif"))?,
                digest,
                "{address}"
            );
            self.ours(&format!("pull --force ours.sif {address}"))?
                .success()?;
            assert_eq!(
                digest_of(&self.home.join("ours.sif"))?,
                digest,
                "{address} by ours"
            );
        }
        let manifest = self.skopeo()?.success()?;
        assert!(manifest.contains(digest), "{manifest}");
        Ok(())
    }
}

/// Where the image is, by each protocol; the first two carry no token.
fn addresses() -> [String; 4] {
    [
        format!("shub://{HOST}/lab/secret:v1"),
        format!("http://{HOST}/lab/secret/v1.sif"),
        "library://lab/secret/secret:v1".to_owned(),
        format!("oras://{HOST}/lab/secret:v1"),
    ]
}

fn digest_of(file: &Path) -> anyhow::Result<String> {
    Ok(pull::sha256(
        &std::fs::read(file).with_context(|| file.display().to_string())?,
    ))
}
