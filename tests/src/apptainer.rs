//! The real Apptainer.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::{self, Output};
use crate::settings;

const LONGEST: Duration = Duration::from_mins(5);

/// Runs Apptainer in a folder below `/tmp`.
pub fn apptainer(folder: &Path, arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(settings::tool("apptainer"));
    command.current_dir(folder).args(arguments);
    // What is in its environment it passes on to images.
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8");
    // shub:// and pulls by URL speak https unless told otherwise; the hub listens on loopback.
    command
        .env("APPTAINER_NOHTTPS", "1")
        .env("APPTAINER_CACHEDIR", folder.join("cache"));
    process::run(&mut command, LONGEST)
}
