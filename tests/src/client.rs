//! People: their accounts of a hub, and the machines at which clients keep what they know of them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use cooperage_protocol::accounts::{AddedToken, Invitation};
use reqwest::header;

use crate::hub::Hub;
use crate::process::{self, Output};
use crate::{http, settings};

/// The password of every account.
pub const PASSWORD: &str = "correct horse battery";

const LONGEST: Duration = Duration::from_mins(5);

/// An account, a session of it and a token.
#[derive(Debug)]
pub struct Account {
    /// The session's cookie, as a header.
    pub cookie: String,
    /// A token.
    pub token: String,
}

impl Account {
    /// Is invited, takes the invitation, and makes a token with these scopes.
    pub fn make(hub: &Hub, name: &str, scopes: &[&str]) -> anyhow::Result<Self> {
        let invitation: Invitation = hub.json(&["user", "add", name])?;
        let (_, code) = invitation.url.split_once('#').context("no code")?;
        let taken = reqwest::blocking::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?
            .post(hub.url("/auth/invitation"))
            .form(&[("code", code), ("password", PASSWORD)])
            .send()?;
        let cookie = taken.headers().get(header::SET_COOKIE);
        let cookie = cookie.context("no session")?.to_str()?.split(';').next();
        let cookie = cookie.unwrap_or_default().to_owned();
        let body = serde_json::json!({ "name": "laptop", "scopes": scopes, "days": 1 });
        let made = http::client()?
            .post(hub.url("/api/tokens"))
            .header(header::COOKIE, &cookie)
            .json(&body)
            .send()?;
        let made: AddedToken = made.error_for_status()?.json()?;
        Ok(Self {
            cookie,
            token: made.token,
        })
    }
}

/// Somebody's machine: what clients keep of an account lies in its home.
#[derive(Debug)]
pub struct Client<'a> {
    hub: &'a Hub,
    host: String,
    home: PathBuf,
}

impl<'a> Client<'a> {
    /// A machine whose clients know the hub, and the token where there is one. The hub listens at
    /// port 80: a remote of Apptainer has no place for another.
    pub fn new(hub: &'a Hub, name: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let host = hub.address().trim_end_matches(":80").to_owned();
        Self::at(hub, &host, name, token)
    }

    /// The same, of a hub that is called by this name.
    pub fn at(hub: &'a Hub, host: &str, name: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let (host, home) = (host.to_owned(), hub.folder().join(name));
        let client = Self { hub, host, home };
        std::fs::create_dir_all(client.file(".apptainer"))?;
        std::fs::write(client.accounts(), r#"{"auths": {}}"#)?;
        if let Some(user) = &hub.world.user {
            process::run(Command::new("chown").arg(user).arg(&client.home), LONGEST)?.success()?;
        }
        let add = [
            "remote",
            "add",
            "--insecure",
            "--no-login",
            "hub",
            &client.host,
        ];
        client.apptainer(&add)?.success()?;
        client.apptainer(&["remote", "use", "hub"])?.success()?;
        if let Some(token) = token {
            client.log_in(token)?;
        }
        Ok(client)
    }

    fn log_in(&self, token: &str) -> anyhow::Result<()> {
        let host = &self.host;
        let file = self.file("token");
        std::fs::write(&file, token)?;
        let given = file.to_str().context("a path of no text")?;
        self.apptainer(&["remote", "login", "--tokenfile", given, "hub"])?
            .success()?;
        let account = base64::engine::general_purpose::STANDARD.encode(format!("any:{token}"));
        // Apptainer takes a name without a dot for a repository of Docker's, unless it has a port.
        let with_port = format!("{host}:80");
        let account = serde_json::json!({ "auth": account });
        let auths = serde_json::json!({ "auths": { host: account, with_port: account } });
        std::fs::write(self.accounts(), auths.to_string())?;
        self.ours(&format!("login http://{host} < {given}"))?
            .success()?;
        Ok(())
    }

    /// A file of its home, where its programs run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    fn accounts(&self) -> PathBuf {
        self.file(".apptainer/docker-config.json")
    }

    /// Runs Apptainer without a cache.
    pub fn apptainer(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(settings::tool("apptainer"));
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .env("APPTAINER_NOHTTPS", "1")
            .env("APPTAINER_DISABLE_CACHE", "1")
            .env("APPTAINER_CONFIGDIR", self.file(".apptainer"))
            .env("HOME", &self.home)
            .current_dir(&self.home)
            .args(arguments);
        process::run(&mut command, LONGEST)
    }

    /// Runs a command of skopeo.
    pub fn skopeo(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new("skopeo");
        command.args(arguments).current_dir(&self.home);
        command.env("REGISTRY_AUTH_FILE", self.accounts());
        process::run(&mut command, LONGEST)
    }

    /// Runs our program, by a shell: a token comes from a file.
    pub fn ours(&self, words: &str) -> anyhow::Result<Output> {
        let program = self.hub.world.cooperage.display();
        let home = self.home.display();
        let mut command = process::command_as(self.hub.world.user.as_deref(), "sh");
        let line = format!("cd {home} && HOME={home} {program} {words}");
        process::run(command.args(["-c", &line]), LONGEST)
    }
}
