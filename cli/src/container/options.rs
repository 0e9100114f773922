//! The options of a container, spelled as Apptainer's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, ensure};
use cooperage_image::runtime::{
    Action, Bind, Caller, Contain, Home, Isolation, Options, Variable, Writable, parse_binds,
    parse_mount,
};

use crate::config::{self, RegistryArgs};

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line are such"
)]
pub(crate) struct ContainerArgs {
    #[command(flatten)]
    pub(crate) registries: RegistryArgs,
    /// Unpack the image also where it could be mounted.
    #[arg(long)]
    pub(crate) unsquash: bool,

    /// The app of the image that is meant.
    #[arg(long, value_name = "NAME")]
    app: Option<String>,

    /// Mount a file or folder; TARGET is SOURCE when it is left out. May be repeated.
    #[arg(
        long,
        short = 'B',
        value_name = "SOURCE[:TARGET[:ro]]",
        help_heading = "Mounts"
    )]
    bind: Vec<String>,
    /// Mount a file or folder: type=bind,source=…,destination=…[,ro]. May be repeated.
    #[arg(long, value_name = "SPEC", help_heading = "Mounts")]
    mount: Vec<String>,
    /// Leave the caller's files out: home and temporary folders are empty, /dev has little.
    #[arg(long, short, help_heading = "Mounts")]
    contain: bool,
    /// Leave out the caller's files, environment, processes and shared memory.
    #[arg(long, short = 'C', help_heading = "Mounts")]
    containall: bool,
    /// Show another folder as the home, at TARGET if that is given.
    #[arg(
        long,
        short = 'H',
        value_name = "SOURCE[:TARGET]",
        help_heading = "Mounts"
    )]
    home: Option<String>,
    /// Do not mount the home.
    #[arg(long, help_heading = "Mounts")]
    no_home: bool,
    /// Do not mount these: home, tmp, cwd, proc, sys, dev, bind-paths, or a path of /etc.
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Mounts"
    )]
    no_mount: Vec<String>,
    /// With --contain, have home and temporary folders in this folder.
    #[arg(long, short = 'W', value_name = "DIR", help_heading = "Mounts")]
    workdir: Option<PathBuf>,
    /// Have an empty folder there that is gone afterwards. May be repeated.
    #[arg(
        long,
        short = 'S',
        value_name = "PATH",
        value_delimiter = ',',
        help_heading = "Mounts"
    )]
    scratch: Vec<PathBuf>,
    /// Change the image, which is a folder.
    #[arg(long, short, help_heading = "Mounts")]
    writable: bool,
    /// Let the image be written to; what is written is gone afterwards.
    #[arg(long, help_heading = "Mounts")]
    writable_tmpfs: bool,
    /// Keep what is written to the image in this folder.
    #[arg(long, short, value_name = "DIR", help_heading = "Mounts")]
    overlay: Option<PathBuf>,
    /// Do without an overlay.
    #[arg(long, help_heading = "Mounts")]
    underlay: bool,

    /// Set variables; they win over the image's. May be repeated.
    #[arg(long, value_name = "NAME=VALUE[,…]", help_heading = "Environment")]
    env: Vec<String>,
    /// Set the variables that a file of shell assignments sets.
    #[arg(long, value_name = "FILE", help_heading = "Environment")]
    env_file: Vec<PathBuf>,
    /// Leave the caller's environment out.
    #[arg(long, short = 'e', help_heading = "Environment")]
    cleanenv: bool,
    /// Take variables and the words of a Docker image as they stand, without evaluation.
    #[arg(long, help_heading = "Environment")]
    no_eval: bool,
    /// Start in this folder of the container.
    #[arg(long, alias = "cwd", value_name = "DIR", help_heading = "Environment")]
    pwd: Option<PathBuf>,

    /// Have process ids of its own.
    #[arg(long, short = 'p', help_heading = "Processes")]
    pid: bool,
    /// Have message queues and shared memory of its own.
    #[arg(long, short = 'i', help_heading = "Processes")]
    ipc: bool,
}

impl ContainerArgs {
    /// What is asked for.
    pub(super) fn options(&self, action: Action, caller: &Caller) -> anyhow::Result<Options> {
        let absolute = |path: &PathBuf| caller.folder.join(path);
        Ok(Options {
            action,
            app: self.app.clone(),
            contain: self.contain(),
            home: self.home(caller)?,
            workdir: self.workdir.as_ref().map(absolute),
            binds: self.binds(caller)?,
            scratch: self.scratch.clone(),
            no_mount: self.no_mounts(),
            writable: self.writable(caller),
            underlay: self.underlay,
            clean_environment: self.cleanenv,
            variables: self.variables()?,
            no_eval: self.no_eval,
            folder: self.pwd.clone(),
            isolation: Isolation {
                processes: self.pid,
                ipc: self.ipc,
            },
        })
    }

    fn contain(&self) -> Contain {
        if self.containall {
            Contain::All
        } else if self.contain {
            Contain::Files
        } else {
            Contain::Nothing
        }
    }

    fn home(&self, caller: &Caller) -> anyhow::Result<Home> {
        if self.no_home {
            return Ok(Home::Nobodys);
        }
        let Some(home) = &self.home else {
            return Ok(Home::Callers);
        };
        let binds = parse_binds(home).map_err(|why| anyhow!("--home {home}: {why}"))?;
        let [bind] = binds.as_slice() else {
            anyhow::bail!("--home {home}: it is one SOURCE[:TARGET]");
        };
        let source = caller.folder.join(&bind.source);
        ensure!(source.is_dir(), "--home {home}: there is no such folder");
        Ok(Home::At {
            target: caller.folder.join(&bind.target),
            source,
        })
    }

    fn no_mounts(&self) -> BTreeSet<String> {
        self.no_mount.iter().cloned().collect()
    }

    fn writable(&self, caller: &Caller) -> Writable {
        match &self.overlay {
            _ if self.writable => Writable::Image,
            Some(folder) => Writable::Layer(caller.folder.join(folder)),
            None if self.writable_tmpfs => Writable::Memory,
            None => Writable::No,
        }
    }

    /// Those of the environment first.
    fn binds(&self, caller: &Caller) -> anyhow::Result<Vec<Bind>> {
        let mut binds = Vec::new();
        let of_environment = config::bind_paths();
        let skips_those = self.no_mount.iter().any(|name| name == "bind-paths");
        let of_environment = of_environment.iter().filter(|_| !skips_those);
        for text in of_environment.chain(&self.bind) {
            binds.extend(parse_binds(text).map_err(|why| anyhow!("--bind {text}: {why}"))?);
        }
        for text in &self.mount {
            binds.push(parse_mount(text).map_err(|why| anyhow!("--mount {text}: {why}"))?);
        }
        for bind in &mut binds {
            bind.source = caller.folder.join(&bind.source);
            bind.target = caller.folder.join(&bind.target);
            let source = bind.source.display();
            ensure!(
                bind.source.exists(),
                "{source} cannot be mounted: there is no such file"
            );
        }
        Ok(binds)
    }

    /// Those of files first, so that the others win.
    fn variables(&self) -> anyhow::Result<Vec<Variable>> {
        let mut variables = Vec::new();
        for file in &self.env_file {
            variables.extend(of_file(file)?);
        }
        for text in &self.env {
            for pair in pairs(text) {
                let (name, value) = pair
                    .split_once('=')
                    .with_context(|| format!("--env {text}: {pair:?} is not NAME=VALUE"))?;
                variables.push(Variable {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    is_literal: false,
                });
            }
        }
        Ok(variables)
    }
}

/// One `NAME=VALUE` may have commas; where there are more, commas are between them, unless they
/// are in double quotes.
fn pairs(text: &str) -> Vec<String> {
    if text.matches('=').count() < 2 {
        return vec![text.trim_matches('"').to_owned()];
    }
    let mut pairs = vec![String::new()];
    let mut is_quoted = false;
    for letter in text.chars() {
        let is_start = pairs.last().is_some_and(String::is_empty);
        match (letter, pairs.last_mut()) {
            ('"', _) if is_start || is_quoted => is_quoted = !is_quoted,
            (',', _) if !is_quoted => pairs.push(String::new()),
            (letter, Some(last)) => last.push(letter),
            (_, None) => {}
        }
    }
    pairs
}

/// The variables that a file of assignments sets, evaluated by the machine's shell.
fn of_file(file: &Path) -> anyhow::Result<Vec<Variable>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("--env-file {}", file.display()))?;
    let names: BTreeSet<&str> = text.lines().filter_map(assigned).collect();
    let path = std::path::absolute(file)?;
    let output = Command::new("/bin/sh")
        .args(["-c", "set -a; . \"$0\"; env -0"])
        .arg(&path)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("starting /bin/sh")?;
    ensure!(
        output.status.success(),
        "--env-file {}: the shell cannot read it",
        file.display()
    );
    let all = String::from_utf8_lossy(&output.stdout).into_owned();
    let variables = all.split('\0').filter_map(|entry| entry.split_once('='));
    Ok(variables
        .filter(|(name, _)| names.contains(name))
        .map(|(name, value)| Variable {
            name: name.to_owned(),
            value: value.to_owned(),
            is_literal: true,
        })
        .collect())
}

fn assigned(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, _) = line.split_once('=')?;
    Some(name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_separated_by_commas_where_there_are_several() {
        let cases: [(&str, &[&str]); 4] = [
            ("A=1,2", &["A=1,2"]),
            ("A=1,B=2", &["A=1", "B=2"]),
            ("\"A=1,2\",B=2", &["A=1,2", "B=2"]),
            ("A=x\"y", &["A=x\"y"]),
        ];
        for (text, expected) in cases {
            assert_eq!(pairs(text), expected, "{text}");
        }
    }

    #[test]
    fn a_file_is_evaluated_by_the_shell_and_gives_what_it_assigns() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "A=one\n# C=3\nexport B=\"$A two\"\n").unwrap();

        let variables = of_file(file.path()).unwrap();

        let mut all: Vec<_> = variables
            .iter()
            .map(|variable| (variable.name.as_str(), variable.value.as_str()))
            .collect();
        all.sort_unstable();
        assert_eq!(all, [("A", "one"), ("B", "one two")]);
    }
}
