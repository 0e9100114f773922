//! `cooperage up` and its private Postgres: started, killed, started again, stopped.
//!
//! Needs the programs of `PostgreSQL` (Debian's package `postgresql`). Run by root, everything
//! happens as the user `nobody`, as Postgres refuses to run as root.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use tempfile::TempDir;

/// A data folder, and a copy of the program that an ordinary user can run.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("up-")
            .tempdir_in("/tmp")
            .expect("works on this machine");
        // Not copied by this process: a test that forks meanwhile would keep the copy open for
        // writing, and a file that is being written cannot be run.
        let mut copy = Command::new("cp");
        copy.arg(env!("CARGO_BIN_EXE_cooperage"))
            .arg(folder.path().join("cooperage"));
        assert!(copy.status().expect("cp runs").success());
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
            .expect("works on this machine");
        if let Some(user) = ordinary_user() {
            chown(
                folder.path(),
                Some(user.uid.as_raw()),
                Some(user.gid.as_raw()),
            )
            .expect("works on this machine");
        }
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn up(&self) -> Up {
        let mut log = OpenOptions::new();
        log.create(true).append(true);
        let log = log.open(self.folder.path().join("up.log"));
        let child = self
            .command()
            .stderr(log.expect("works on this machine"))
            .stdout(Stdio::null())
            .spawn()
            .expect("works on this machine");
        Up(child)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.folder.path().join("cooperage"));
        command.args(["up", "--listen", "127.0.0.1:0", "--workers", "0", "--data"]);
        command.arg(self.data());
        as_ordinary_user(&mut command);
        command
    }

    /// Asks the database something, as the hub would.
    fn query(&self, sql: &str) -> Output {
        let mut psql = Command::new(newest_programs().join("psql"));
        psql.args(["-U", "cooperage", "-d", "cooperage", "-At", "-c", sql, "-h"]);
        psql.arg(self.data().join("run"));
        as_ordinary_user(&mut psql);
        psql.output().expect("works on this machine")
    }

    /// Whether the hub itself is up; until then the loss of its database is the end of its start.
    fn is_healthy(&self) -> bool {
        let Ok(url) = std::fs::read_to_string(self.data().join("url")) else {
            return false;
        };
        let address = url
            .trim()
            .trim_start_matches("http://")
            .trim_end_matches('/');
        let mut answer = String::new();
        let asked = TcpStream::connect(address).and_then(|mut connection| {
            connection.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
            connection.read_to_string(&mut answer)
        });
        asked.is_ok() && answer.contains(" 200 ")
    }

    fn answers(&self) -> bool {
        self.query("SELECT 1").stdout == b"1\n"
    }

    fn server(&self) -> Pid {
        let text = std::fs::read_to_string(self.data().join("postgres/postmaster.pid"))
            .expect("works on this machine");
        Pid::from_raw(
            text.lines()
                .next()
                .expect("works on this machine")
                .parse()
                .expect("works on this machine"),
        )
    }
}

impl Drop for Place {
    /// Tells why a test failed, before the logs are gone.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in [
                self.folder.path().join("up.log"),
                self.data().join("postgres.log"),
            ] {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                eprintln!("--- {}\n{text}", log.display());
            }
        }
    }
}

/// A running `cooperage up`, killed when a test fails.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Up {
    fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(self.0.id().try_into().expect("works on this machine")),
            signal,
        )
        .expect("works on this machine");
    }
}

fn ordinary_user() -> Option<User> {
    Uid::effective().is_root().then(|| {
        User::from_name("nobody")
            .expect("works on this machine")
            .expect("works on this machine")
    })
}

fn as_ordinary_user(command: &mut Command) {
    command.current_dir("/");
    if let Some(user) = ordinary_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
}

fn newest_programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let newest = versions
        .map(|entry| entry.expect("works on this machine").path())
        .max()
        .expect("works on this machine");
    newest.join("bin")
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn is_alive(process: Pid) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn a_killed_postgres_comes_back_with_its_data_and_ends_with_the_program() {
    let place = Place::new();
    let mut up = place.up();
    eventually("the hub answers", || place.is_healthy());
    place.query("CREATE TABLE kept (number integer); INSERT INTO kept VALUES (7)");
    let killed = place.server();

    kill(killed, Signal::SIGKILL).unwrap();

    eventually("Postgres is back", || place.answers());
    assert_ne!(place.server(), killed);
    assert_eq!(place.query("SELECT number FROM kept").stdout, b"7\n");

    let server = place.server();
    up.signal(Signal::SIGTERM);
    up.0.wait().unwrap();
    assert!(!is_alive(server));
}

#[test]
fn postgres_does_not_outlive_a_killed_program_and_starts_again_with_the_next() {
    let place = Place::new();
    let mut first = place.up();
    eventually("Postgres answers", || place.answers());
    place.query("CREATE TABLE kept (number integer)");
    let server = place.server();

    first.0.kill().unwrap();
    first.0.wait().unwrap();
    eventually("Postgres ends", || !is_alive(server));

    let second = place.up();
    eventually("Postgres answers again", || place.answers());
    assert!(place.query("SELECT * FROM kept").status.success());
    drop(second);
}

#[test]
fn a_file_of_a_server_that_is_gone_does_not_prevent_the_start() {
    let place = Place::new();
    let first = place.up();
    eventually("Postgres answers", || place.answers());
    first.signal(Signal::SIGTERM);
    drop(first);
    eventually("Postgres ends", || !place.answers());
    let stale = format!("{}\n/elsewhere\n", std::process::id());
    std::fs::write(place.data().join("postgres/postmaster.pid"), stale).unwrap();

    let _second = place.up();

    eventually("Postgres answers again", || place.answers());
}

#[test]
fn a_data_folder_in_use_is_refused() {
    let place = Place::new();
    let _first = place.up();
    eventually("Postgres answers", || place.answers());

    let second = place.command().output().unwrap();

    assert_eq!(second.status.code(), Some(1));
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(
        told.contains("is in use by another `cooperage up`"),
        "{told}"
    );
}

#[test]
fn a_database_of_a_version_that_is_not_installed_is_explained() {
    let place = Place::new();
    let folder = place.data().join("postgres");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("PG_VERSION"), "9\n").unwrap();
    if let Some(user) = ordinary_user() {
        chown(
            place.data(),
            Some(user.uid.as_raw()),
            Some(user.gid.as_raw()),
        )
        .unwrap();
    }

    let refused = place.command().output().unwrap();

    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("install the package postgresql-9"), "{told}");
}
