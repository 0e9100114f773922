//! A hub: `cooperage up` on a fresh data folder, and the command line that administers it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use cooperage_protocol::admin::{AddedCollection, AddedWorker, Build};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::process::{self, Output, Process};
use crate::settings::Settings;
use crate::{http, wait};

const PSQL: &str = "/usr/lib/postgresql/15/bin/psql";
const START: Duration = Duration::from_mins(1);
const COMMAND: Duration = Duration::from_mins(2);
const BUILD: Duration = Duration::from_mins(10);

/// How a hub differs from the usual one.
#[derive(Debug, Clone)]
pub struct Options {
    /// Host that it listens on.
    pub host: &'static str,
    /// Port; a free one when absent.
    pub port: Option<u16>,
    /// Workers of its own.
    pub workers: u32,
    /// More of the settings file (`[limits]` and the like).
    pub settings: String,
}

/// A running hub.
#[derive(Debug)]
pub struct Hub {
    /// What `tests/run` prepared.
    pub world: Settings,
    address: String,
    options: Options,
    folder: TempDir,
    process: Option<Process>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: "127.0.0.1",
            port: None,
            workers: 1,
            settings: String::new(),
        }
    }
}

impl Hub {
    /// Starts the usual hub: one worker, a free port.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(Options::default())
    }

    /// Starts a hub and waits until it is healthy.
    pub fn start_with(options: Options) -> anyhow::Result<Self> {
        let world = Settings::from_environment()?;
        let folder = tempfile::Builder::new()
            .prefix("cooperage-story-")
            .tempdir()?;
        give_to(world.user.as_deref(), folder.path())?;
        let port = options.port.map_or_else(|| free_port(options.host), Ok)?;
        let address = format!("{}:{port}", options.host);
        let mut hub = Self {
            world,
            address,
            options,
            folder,
            process: None,
        };
        std::fs::write(
            hub.folder.path().join("settings.toml"),
            &hub.options.settings,
        )?;
        hub.restart()?;
        Ok(hub)
    }

    /// Starts it again after it was killed, on the same data.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.process = None;
        let log = self.folder.path().join("hub.log");
        self.process = Some(Process::start(&mut self.up_command(), &log)?);
        self.wait_until_healthy()
    }

    fn up_command(&self) -> Command {
        // Only root may listen below 1024; the hub gives root up once it does.
        let binds_as_root = self.options.port.is_some_and(|port| port < 1024);
        let user = self.world.user.as_deref();
        let starter = if binds_as_root { None } else { user };
        let mut command = process::command_as(starter, &self.world.cooperage);
        command.arg("up").arg("--data").arg(self.data());
        command.arg("--listen").arg(&self.address);
        command
            .arg("--workers")
            .arg(self.options.workers.to_string());
        command.arg("--registry-mirror");
        command.arg(format!("docker.io=http://{}", self.world.registry));
        if !self.options.settings.is_empty() {
            command
                .arg("--config")
                .arg(self.folder.path().join("settings.toml"));
        }
        if let Some(user) = user.filter(|_| binds_as_root) {
            command.args(["--user", user]);
        }
        command
    }

    /// Waits until it answers that it is healthy.
    pub fn wait_until_healthy(&mut self) -> anyhow::Result<()> {
        let client = http::client()?;
        let url = self.url("/healthz");
        let healthy = wait::until("a healthy hub", START, || {
            if let Some(process) = &mut self.process {
                anyhow::ensure!(!process.has_ended()?, "the hub ended");
            }
            let answer = client.get(&url).timeout(Duration::from_secs(5)).send();
            Ok(answer
                .ok()
                .filter(|answer| answer.status().is_success())
                .map(drop))
        });
        healthy.with_context(|| self.log())
    }

    /// What it logged.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("hub.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Its process.
    pub fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().context("the hub does not run")
    }

    /// Where it keeps everything.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder of the story that the hub's user may write to.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address of one of its pages.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Runs a command of the program against this hub, as the hub's user.
    pub fn cooperage(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = process::command_as(self.world.user.as_deref(), &self.world.cooperage);
        command
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .current_dir(self.folder.path());
        process::run(&mut command, COMMAND)
    }

    /// Runs a command and reads its JSON.
    pub fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> anyhow::Result<T> {
        let output = self
            .cooperage(&[arguments, &["--format", "json"]].concat())?
            .success()?;
        serde_json::from_str(&output).with_context(|| format!("{arguments:?} printed {output}"))
    }

    /// Connects a repository.
    pub fn add_collection(&self, clone_url: &str, name: &str) -> anyhow::Result<AddedCollection> {
        self.json(&["collection", "add", clone_url, "--name", name])
    }

    /// Asks the hub's own database; columns are separated by `|`.
    pub fn query(&self, sql: &str) -> anyhow::Result<String> {
        let mut psql = process::command_as(self.world.user.as_deref(), PSQL);
        psql.args([
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--command",
            sql,
        ]);
        psql.args(["--username", "cooperage", "--dbname", "cooperage", "--host"]);
        psql.arg(self.data().join("run"));
        Ok(process::run(&mut psql, COMMAND)?
            .success()?
            .trim()
            .to_owned())
    }

    /// Registers a worker.
    pub fn add_worker(&self, name: &str) -> anyhow::Result<AddedWorker> {
        self.json(&["worker", "add", name])
    }

    /// The builds of a collection, newest first.
    pub fn builds(&self, collection: &str) -> anyhow::Result<Vec<Build>> {
        self.json(&["builds", collection])
    }

    /// Waits until a collection has at least `count` builds and none that will still change.
    pub fn finished_builds(&self, collection: &str, count: usize) -> anyhow::Result<Vec<Build>> {
        let what = format!("{count} finished builds of {collection}");
        wait::until(&what, BUILD, || {
            let builds = self.builds(collection)?;
            let done = builds.len() >= count && builds.iter().all(|build| build.state.is_final());
            Ok(done.then_some(builds))
        })
        .with_context(|| self.log())
    }

    /// The log of a build.
    pub fn build_log(&self, build: &Build) -> anyhow::Result<String> {
        self.cooperage(&["logs", &build.id.to_string()])?.success()
    }
}

impl Drop for Hub {
    /// Lets the hub end its Postgres and its builds; kills it only when it does not.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the hub logged:\n{}", self.log());
        }
        let Some(process) = self.process.as_mut() else {
            return;
        };
        if let Err(error) = process.terminate() {
            eprintln!("ending the hub: {error}");
        }
    }
}

fn give_to(user: Option<&str>, folder: &Path) -> anyhow::Result<()> {
    let Some(user) = user else { return Ok(()) };
    let mut chown = Command::new("chown");
    process::run(chown.arg(format!("{user}:")).arg(folder), COMMAND)?.success()?;
    Ok(())
}

/// A port that nobody listens on now.
pub fn free_port(host: &str) -> anyhow::Result<u16> {
    Ok(TcpListener::bind((host, 0))?.local_addr()?.port())
}
