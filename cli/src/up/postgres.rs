//! A private Postgres: the system's programs, a database in the data folder, one socket, no port.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::supervise::{Program, command_with_parent, supervise};

/// Where Debian and Ubuntu install the versions of Postgres.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Longest path of a socket: `sun_path` of unix(7) without its final zero.
const LONGEST_SOCKET: usize = 107;

const SOCKET: &str = ".s.PGSQL.5432";
const NAME: &str = "cooperage";
const START_TIMEOUT: Duration = Duration::from_mins(1);
const GRACE: Duration = Duration::from_secs(30);

/// A Postgres under supervision.
pub(crate) struct Postgres {
    url: String,
    stop: CancellationToken,
    supervisor: JoinHandle<()>,
}

impl Postgres {
    /// Makes the database in `data` if there is none, starts Postgres and waits until it answers.
    pub(crate) async fn start(data: &Path) -> anyhow::Result<Self> {
        let folder = data.join("postgres");
        let programs = programs(&folder)?;
        let socket_folder = socket_folder(data)?;
        if !folder.join("PG_VERSION").exists() {
            tracing::info!("making the database in {}", folder.display());
            create(&programs, &folder)?;
        }
        end_predecessor(&folder).await?;

        let stop = CancellationToken::new();
        let log = data.join("postgres.log");
        let program = program(&programs, &folder, &socket_folder, &log);
        let supervisor = tokio::spawn(supervise(program, stop.clone()));
        let postgres = Self {
            url: url(&socket_folder),
            stop,
            supervisor,
        };
        if let Err(error) = wait_until_ready(&folder, &log).await {
            postgres.stop().await;
            return Err(error);
        }
        Ok(postgres)
    }

    /// The address for the hub's settings.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends Postgres; connections are closed, nothing is lost.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.supervisor.await {
            tracing::error!(%error, "supervisor of Postgres panicked");
        }
    }
}

/// The programs of the version that made the database, or of the newest one installed.
fn programs(folder: &Path) -> anyhow::Result<PathBuf> {
    let installed = installed_versions();
    let made_by = std::fs::read_to_string(folder.join("PG_VERSION")).ok();
    let version = match made_by.as_deref().map(str::trim) {
        Some(version) if installed.iter().any(|found| found.to_string() == version) => {
            version.to_owned()
        }
        Some(version) => bail!(
            "database in {} was made by PostgreSQL {version}, whose programs are not in \
             {VERSIONS}; install the package postgresql-{version}",
            folder.display()
        ),
        None => installed
            .iter()
            .max()
            .map(ToString::to_string)
            .context("no PostgreSQL in /usr/lib/postgresql; install the package postgresql")?,
    };
    Ok(Path::new(VERSIONS).join(version).join("bin"))
}

fn installed_versions() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(VERSIONS) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let has_server = path.join("bin/postgres").exists() && path.join("bin/initdb").exists();
            has_server.then(|| path.file_name()?.to_str()?.parse().ok())?
        })
        .collect()
}

/// `run` in the data folder, or a folder of a short name when its path is too long for a socket.
fn socket_folder(data: &Path) -> anyhow::Result<PathBuf> {
    let inside = data.join("run");
    let fits = inside.join(SOCKET).as_os_str().len() <= LONGEST_SOCKET;
    let folder = if fits {
        inside
    } else {
        let digest = cooperage_protocol::Digest::of(data.as_os_str().as_encoded_bytes());
        PathBuf::from(format!("/tmp/cooperage-{}", digest.short()))
    };
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("making {}", folder.display()))?;
        }
        _ => {}
    }
    let found = std::fs::symlink_metadata(&folder)?;
    let is_ours = found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw();
    ensure!(is_ours, "{} belongs to somebody else", folder.display());
    Ok(folder)
}

/// Trust is enough on a socket in a folder that only this user may enter.
fn url(socket_folder: &Path) -> String {
    let host: String =
        url::form_urlencoded::byte_serialize(socket_folder.as_os_str().as_encoded_bytes())
            .collect();
    format!("postgres://{NAME}@localhost/{NAME}?host={host}&sslmode=disable")
}

/// Makes the database beside its place and moves it there when it is complete.
fn create(programs: &Path, folder: &Path) -> anyhow::Result<()> {
    ensure!(
        !nix::unistd::geteuid().is_root(),
        "PostgreSQL does not run as root; run as an ordinary user, or name one with --user"
    );
    let unfinished = folder.with_extension("unfinished");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)
            .with_context(|| format!("removing {}", unfinished.display()))?;
    }
    let mut initdb = Command::new(programs.join("initdb"));
    initdb.args(["--username", NAME, "--auth", "trust", "--encoding", "UTF8"]);
    initdb
        .args(["--locale", "C.UTF-8", "--pgdata"])
        .arg(&unfinished);
    run(&mut initdb, "")?;

    let mut single = Command::new(programs.join("postgres"));
    single
        .args(["--single", "-D"])
        .arg(&unfinished)
        .arg("postgres");
    run(&mut single, &format!("CREATE DATABASE {NAME}\n"))?;
    std::fs::rename(&unfinished, folder).with_context(|| format!("making {}", folder.display()))
}

fn run(command: &mut Command, input: &str) -> anyhow::Result<()> {
    let name = command.get_program().display().to_string();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("running {name}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .with_context(|| format!("writing to {name}"))?;
    }
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{name} ended with {}: {}",
        output.status,
        errors.trim()
    );
    Ok(())
}

fn program(programs: &Path, folder: &Path, socket_folder: &Path, log: &Path) -> Program {
    let postgres = programs.join("postgres");
    let (folder, log) = (folder.to_owned(), log.to_owned());
    let sockets = format!("unix_socket_directories={}", socket_folder.display());
    let command = move || {
        let file = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = command_with_parent(Signal::SIGINT, &postgres);
        command.arg("-D").arg(&folder);
        for setting in [
            "listen_addresses=",
            "unix_socket_permissions=0700",
            &sockets,
        ] {
            command.args(["-c", setting]);
        }
        command.stdout(file.try_clone()?).stderr(file);
        Ok(command)
    };
    Program {
        name: "postgres".to_owned(),
        stop_signal: Signal::SIGINT,
        grace: GRACE,
        command: Box::new(command),
    }
}

/// A server that outlived the program that started it is ended; a file that only says there was
/// one is removed, as its process id may be another program's by now.
async fn end_predecessor(folder: &Path) -> anyhow::Result<()> {
    let Some(id) = server_id(folder) else {
        return Ok(());
    };
    if !is_server_of(id, folder) {
        std::fs::remove_file(folder.join("postmaster.pid")).context("removing a stale file")?;
        return Ok(());
    }
    tracing::warn!("a Postgres of an earlier run is still there, ending it");
    kill(id, Signal::SIGINT).context("ending an earlier Postgres")?;
    for _ in 0..GRACE.as_millis() / 100 {
        if !is_server_of(id, folder) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("Postgres of an earlier run (process {id}) does not end")
}

/// The process that the server's own file names.
fn server_id(folder: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(folder.join("postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok().map(Pid::from_raw)
}

/// A server's working folder is its database's.
fn is_server_of(id: Pid, folder: &Path) -> bool {
    let works_in = std::fs::read_link(format!("/proc/{id}/cwd")).ok();
    let name = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    name.trim() == "postgres" && works_in == folder.canonicalize().ok()
}

async fn wait_until_ready(folder: &Path, log: &Path) -> anyhow::Result<()> {
    for _ in 0..START_TIMEOUT.as_millis() / 50 {
        if is_ready(folder) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!(
        "Postgres does not start; the end of {}:\n{}",
        log.display(),
        last_lines(log)
    )
}

/// The server writes its state into the eighth line of its file.
fn is_ready(folder: &Path) -> bool {
    let text = std::fs::read_to_string(folder.join("postmaster.pid")).unwrap_or_default();
    let is_running = server_id(folder).is_some_and(|id| is_server_of(id, folder));
    is_running
        && text
            .lines()
            .nth(7)
            .is_some_and(|state| state.trim() == "ready")
}

fn last_lines(log: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};

    const ENOUGH: u64 = 2000;
    let read = || {
        let mut file = File::open(log)?;
        let start = file.metadata()?.len().saturating_sub(ENOUGH);
        file.seek(SeekFrom::Start(start))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        std::io::Result::Ok(String::from_utf8_lossy(&end).into_owned())
    };
    read().unwrap_or_else(|error| error.to_string())
}
