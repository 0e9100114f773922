//! Plays a case: makes its folder, runs its steps and compares what comes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::table::{Case, Cast, Step};
use crate::process::{self, Output};
use crate::settings::{self, Settings};

const LONGEST: Duration = Duration::from_mins(3);

/// What came of a case that was played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was as it must be.
    Holds,
    /// What was not, and in which step.
    Fails(String),
    /// Why it was not played.
    NotPlayed(String),
}

/// Plays cases with the programs of the settings.
#[derive(Debug)]
pub struct Player {
    settings: Settings,
    /// Layers and unpacked images, shared by all cases.
    cache: PathBuf,
}

impl Player {
    /// A player whose caches lie below `folder`.
    pub fn new(settings: Settings, folder: &Path) -> anyhow::Result<Self> {
        let cache = folder.join("cache");
        fs::create_dir_all(&cache)?;
        let player = Self { settings, cache };
        player.give_to_user(&player.cache)?;
        Ok(player)
    }

    /// Plays a case with one cast.
    pub fn play(&self, case: &Case, who: Cast) -> anyhow::Result<Verdict> {
        let reason = case.left_out.as_ref().or_else(|| case.not.get(&who));
        if let Some(reason) = reason {
            return Ok(Verdict::NotPlayed(reason.clone()));
        }
        let folder = tempfile::Builder::new()
            .prefix("case-")
            .tempdir_in("/tmp")?;
        self.write_files(case, folder.path())?;
        for step in &case.steps {
            let output = self.run(step, who, folder.path())?;
            if let Some(difference) = self.difference(step, who, &output) {
                return Ok(Verdict::Fails(format!("`{}`: {difference}", step.run)));
            }
        }
        Ok(Verdict::Holds)
    }

    fn write_files(&self, case: &Case, folder: &Path) -> anyhow::Result<()> {
        for (name, content) in &case.files {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, self.filled_in(content))?;
        }
        self.give_to_user(folder)
    }

    fn filled_in(&self, text: &str) -> String {
        text.replace("@registry@", &self.settings.registry)
            .replace("@password-registry@", &self.settings.password_registry)
    }

    fn give_to_user(&self, folder: &Path) -> anyhow::Result<()> {
        let Some(user) = &self.settings.user else {
            return Ok(());
        };
        let mut chown = Command::new("chown");
        chown.arg("-R").arg(format!("{user}:")).arg(folder);
        process::run(&mut chown, LONGEST)?.success().map(drop)
    }

    /// Our program runs as an ordinary user, Apptainer as the caller: its tree has to be entered.
    fn run(&self, step: &Step, who: Cast, folder: &Path) -> anyhow::Result<Output> {
        let ours = self.settings.cooperage.display().to_string();
        let peer = settings::tool("apptainer").display().to_string();
        let is_use = step.run.contains("$use");
        let is_ours = match who {
            Cast::Ours => true,
            Cast::Mixed => !is_use,
            Cast::Peer => false,
        };
        let program = if is_ours { &ours } else { &peer };
        let is_user = is_ours && !step.as_root;
        let user = self.settings.user.as_deref().filter(|_| is_user);
        let mut command = process::command_as(user, "env");
        command
            .arg(format!("COOPERAGE_CACHE={}", self.cache.display()))
            .arg(format!("APPTAINER_CACHEDIR={}/peer", self.cache.display()))
            .arg("APPTAINER_NOHTTPS=1")
            .arg(format!("build={program} build"))
            .arg(format!("use={program}"))
            .arg(format!("peer={peer} --program"))
            .args(["sh", "-c"])
            .arg(self.filled_in(&step.run))
            .current_dir(folder);
        process::run(&mut command, LONGEST).with_context(|| step.run.clone())
    }

    fn difference(&self, step: &Step, who: Cast, output: &Output) -> Option<String> {
        let Output {
            status,
            stdout,
            stderr,
        } = output;
        if status.success() == step.fails {
            return Some(format!("ended with {status}\n{stdout}{stderr}"));
        }
        let says = step.says.as_deref().map(|says| self.filled_in(says));
        if let Some(says) = says.filter(|says| says != stdout) {
            return Some(format!(
                "said {stdout:?}, not {says:?}; complained {stderr:?}"
            ));
        }
        let mentions = step.mentions.as_deref();
        if let Some(words) = mentions.filter(|words| !stdout.contains(*words)) {
            return Some(format!("said {stdout:?} without {words:?}"));
        }
        let complains = step.complains.as_deref().filter(|_| who == Cast::Ours);
        let complains = complains.map(|complains| self.filled_in(complains));
        let missing = complains.filter(|words| !stderr.contains(words.as_str()));
        missing.map(|words| format!("complained {stderr:?} without {words:?}"))
    }
}
