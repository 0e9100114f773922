//! Keeps a child process running until it is told to stop.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A child that ran this long was well: its next end is not one of a series.
const WELL: Duration = Duration::from_mins(1);

/// A child process to keep running.
pub(crate) struct Program {
    /// Its name in the log.
    pub(crate) name: String,
    /// The signal that makes it end in good order; also sent when this process dies.
    pub(crate) stop_signal: Signal,
    /// How long it may take to end before it is killed.
    pub(crate) grace: Duration,
    /// Makes the command line, before each start.
    pub(crate) command: Box<dyn Fn() -> std::io::Result<Command> + Send + Sync>,
}

/// The start of a command whose process gets `signal` when this process dies.
pub(crate) fn command_with_parent(signal: Signal, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["with-parent", "--parent", &std::process::id().to_string()])
        .args(["--signal", signal.as_str(), "--"])
        .arg(program)
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// Runs the program again whenever it ends, until `stop`; returns when it has ended.
pub(crate) async fn supervise(program: Program, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    while !stop.is_cancelled() {
        let started = Instant::now();
        match (program.command)().and_then(|mut command| command.spawn()) {
            Ok(child) => {
                if run_once(&program, child, &stop).await {
                    return;
                }
            }
            Err(error) => tracing::error!(%error, "{} cannot be started", program.name),
        }
        if started.elapsed() > WELL {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// Waits for the child's end; true when it was stopped.
async fn run_once(program: &Program, mut child: Child, stop: &CancellationToken) -> bool {
    tokio::select! {
        ended = child.wait() => {
            match ended {
                Ok(status) => tracing::warn!("{} ended with {status}, starting it again", program.name),
                Err(error) => tracing::error!(%error, "{} cannot be waited for", program.name),
            }
            false
        }
        () = stop.cancelled() => {
            end(program, child).await;
            true
        }
    }
}

async fn end(program: &Program, mut child: Child) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(Err(error)) = id.map(|id| kill(Pid::from_raw(id), program.stop_signal)) {
        tracing::warn!(%error, "{} cannot be told to stop", program.name);
    }
    if tokio::time::timeout(program.grace, child.wait())
        .await
        .is_err()
    {
        tracing::warn!("{} does not stop, killing it", program.name);
        if let Err(error) = child.kill().await {
            tracing::error!(%error, "{} cannot be killed", program.name);
        }
    }
}
