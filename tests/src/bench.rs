//! A folder of a user in which images are built without a hub.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{self, Output};
use crate::{Settings, settings};

const LONGEST: Duration = Duration::from_mins(5);

/// A folder in which one user builds.
#[derive(Debug)]
pub struct Bench {
    folder: TempDir,
    user: Option<String>,
    world: Settings,
}

impl Bench {
    /// Makes an empty folder of that user.
    pub fn of(world: &Settings, user: Option<&str>) -> anyhow::Result<Self> {
        let bench = Self {
            folder: tempfile::tempdir_in("/tmp")?,
            user: user.map(str::to_owned),
            world: world.clone(),
        };
        bench.give("")?;
        Ok(bench)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes something in the folder the user's own.
    pub fn give(&self, name: &str) -> anyhow::Result<()> {
        let owner = format!("{}:", self.user.as_deref().unwrap_or("root"));
        let mut chown = Command::new("chown");
        chown.args(["-R", &owner]).arg(self.path().join(name));
        process::run(&mut chown, LONGEST)?.success().map(drop)
    }

    /// Builds `IMAGE.sif` of a definition, as the user.
    pub fn build(&self, image: &str, definition: &str, options: &[&str]) -> anyhow::Result<Output> {
        let name = format!("{image}.def");
        std::fs::write(self.path().join(&name), definition)?;
        let keys = format!("APPTAINER_KEYSDIR={}", self.path().join("keys").display());
        let mut build = process::command_as(self.user.as_deref(), "env");
        build
            .args([&keys, "COOPERAGE_KEYSERVER=none"])
            .arg(&self.world.cooperage)
            .args(["build", "--force"])
            .args(options)
            .args([&format!("{image}.sif"), &name])
            .current_dir(self.path());
        process::run(&mut build, LONGEST)
    }

    /// Runs the real Apptainer in the folder, with keys that belong to it.
    pub fn apptainer(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(settings::tool("apptainer"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env("APPTAINER_KEYSDIR", self.path().join("keys"))
            .env("APPTAINER_CACHEDIR", self.path().join("cache"));
        process::run(&mut command, LONGEST)?.success()
    }
}
