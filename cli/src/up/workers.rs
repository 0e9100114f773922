//! The workers of `up`: registered once, each with a token file, a scratch folder and a process.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;
use url::Url;

use super::supervise::{Program, command_with_parent};
use crate::config::RegistryArgs;
use crate::hub::{Hub, HubError};

/// A worker needs its engine's grace and its last calls.
const GRACE: Duration = Duration::from_secs(20);

/// Gives the worker `number` a token, unless it has one that the hub can know.
pub(crate) fn register(hub: &Hub, data: &Path, number: u32) -> anyhow::Result<PathBuf> {
    let folder = data.join("workers");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let file = folder.join(format!("{number}.token"));
    let name = format!("local-{number}");
    // A database that was made anew knows none of the tokens that lie here.
    let is_known = hub
        .workers()?
        .iter()
        .any(|worker| worker.name.starts_with(&name));
    if is_known && file.exists() {
        return Ok(file);
    }
    let added = match hub.add_worker(&name) {
        // The name is taken when its token file was lost: tokens are shown only once.
        Err(HubError::Refused(problem)) if problem.status == 409 => {
            hub.add_worker(&format!("{name}-{}", uuid::Uuid::new_v4().simple()))?
        }
        added => added?,
    };
    write_secret(&file, &added.token).with_context(|| format!("writing {}", file.display()))?;
    Ok(file)
}

/// Writes a file that only its owner may read, complete or not at all.
pub(crate) fn write_secret(file: &Path, secret: &str) -> std::io::Result<()> {
    let unfinished = file.with_extension("unfinished");
    let mut options = OpenOptions::new();
    let mut out = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    writeln!(out, "{secret}")?;
    out.sync_all()?;
    std::fs::rename(unfinished, file)
}

/// The process of worker `number`.
pub(crate) fn program(
    hub: Url,
    data: &Path,
    number: u32,
    token: PathBuf,
    registries: RegistryArgs,
) -> Program {
    let (cache, scratch) = (
        data.join("cache"),
        data.join("scratch").join(number.to_string()),
    );
    let name = format!("local-{number}");
    let label = format!("worker {name}");
    let command = move || {
        let mut command = command_with_parent(Signal::SIGTERM, "/proc/self/exe");
        command.args(["work", "--hub", hub.as_str(), "--name", &name]);
        command.arg("--token-file").arg(&token);
        command
            .arg("--cache")
            .arg(&cache)
            .arg("--scratch")
            .arg(&scratch);
        command.args(registries.to_args());
        Ok(command)
    };
    Program {
        name: label,
        stop_signal: Signal::SIGTERM,
        grace: GRACE,
        command: Box::new(command),
    }
}
