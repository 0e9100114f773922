//! Programs: run to their end within a time, or in the background until they are dropped.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;

use crate::wait;

/// What a program printed and how it ended.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed on its standard output.
    pub stdout: String,
    /// What it printed on its standard error.
    pub stderr: String,
}

/// A program in the background; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Output {
    /// The standard output of a program that succeeded.
    pub fn success(self) -> anyhow::Result<String> {
        anyhow::ensure!(
            self.status.success(),
            "program ended with {}:\n{}{}",
            self.status,
            self.stdout,
            self.stderr
        );
        Ok(self.stdout)
    }
}

/// A command that runs as `user`, or as the caller when there is none.
pub fn command_as(user: Option<&str>, program: impl AsRef<OsStr>) -> Command {
    let Some(user) = user else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid",
        user,
        "--regid",
        user,
        "--init-groups",
        "--reset-env",
        "--",
    ]);
    command.arg(program);
    command
}

/// Runs a command to its end; it is killed when it takes longer than that.
pub fn run(command: &mut Command, longest: Duration) -> anyhow::Result<Output> {
    let name = format!("{command:?}");
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?);
    let child = command
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let mut process = Process { child, name };
    let status = process.wait(longest)?;
    Ok(Output {
        status,
        stdout: text_of(&mut stdout)?,
        stderr: text_of(&mut stderr)?,
    })
}

fn text_of(file: &mut File) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Process {
    /// Starts a command that logs to a file.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let name = format!("{command:?}");
        let log = File::options().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { child, name })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end.
    pub fn wait(&mut self, longest: Duration) -> anyhow::Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until(&what, longest, || Ok(self.child.try_wait()?))
    }

    /// Asks it to end, and waits.
    pub fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        signal("TERM", &[self.id()])?;
        self.wait(Duration::from_mins(1))
    }

    /// Kills it without asking.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait()
            && let Err(error) = self.kill()
        {
            eprintln!("killing {}: {error}", self.name);
        }
    }
}

/// Sends a signal to processes; those that have ended meanwhile do not matter.
pub fn signal(name: &str, processes: &[u32]) -> anyhow::Result<()> {
    let ids = processes.iter().map(u32::to_string);
    Command::new("kill")
        .arg(format!("-{name}"))
        .args(ids)
        .stderr(Stdio::null())
        .status()?;
    Ok(())
}

/// The processes that descend from one, it not included, with their names.
pub fn descendants(ancestor: u32) -> anyhow::Result<Vec<(u32, String)>> {
    let all = all_processes()?;
    let mut family = vec![ancestor];
    let mut found = Vec::new();
    while let Some(parent) = family.pop() {
        for (id, name, _) in all
            .iter()
            .filter(|(_, _, its_parent)| *its_parent == parent)
        {
            family.push(*id);
            found.push((*id, name.clone()));
        }
    }
    Ok(found)
}

/// Every process with its name and its parent.
fn all_processes() -> anyhow::Result<Vec<(u32, String, u32)>> {
    let entries = std::fs::read_dir("/proc")?.flatten();
    let stats = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    Ok(stats.filter_map(|stat| parse_stat(&stat)).collect())
}

/// Id, name and parent out of `id (name) state parent …`; the name may hold anything.
fn parse_stat(stat: &str) -> Option<(u32, String, u32)> {
    let (id, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let parent = rest.split(' ').nth(1)?;
    Some((id.parse().ok()?, name.to_owned(), parent.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_hold_spaces_and_brackets() {
        let parsed = parse_stat("12 (a) (b c) S 7 12 12 0");

        assert_eq!(parsed, Some((12, "a) (b c".to_owned(), 7)));
    }

    #[test]
    fn a_program_that_takes_too_long_is_an_error() {
        let result = run(Command::new("sleep").arg("30"), Duration::from_millis(300));

        assert!(result.is_err());
    }
}
