//! The scripts of a stage: where each runs, and what it sees.

use super::event::{Event, Phase};
use super::request::{Context, Test, clean_environment};
use super::stage::{StageBuild, unexpected};
use crate::definition::Script;
use crate::error::Error;
use crate::inside::{Reply, Task};
use crate::metadata::post_with_apps;
use crate::sandbox::{Network, ScriptRun, Section, run_script};

/// Sources the image's environment, then becomes the command that follows.
const EXEC: &str = "/.singularity.d/actions/exec";
const TEST: &str = "/.singularity.d/actions/test";

/// Where scripts write assignments that are to be made whenever the image is used.
const ENVIRONMENT: (&str, &str) = ("ENVIRONMENT", "/.singularity.d/env/91-environment.sh");

const LDCONFIG: &str = "/sbin/ldconfig";
/// What it remembers of the files that it looked at.
const LDCONFIG_NOTES: &str = "/var/cache/ldconfig/aux-cache";

impl StageBuild<'_> {
    /// Runs `%pre`, before there is a base.
    pub(super) fn run_pre(&self) -> Result<(), Error> {
        self.run_on_host(Phase::Pre, Section::Pre, self.stage.sections.pre.as_ref())
    }

    /// Runs `%setup` beside the image.
    pub(super) fn run_setup(&self) -> Result<(), Error> {
        self.run_on_host(
            Phase::Setup,
            Section::Setup,
            self.stage.sections.setup.as_ref(),
        )
    }

    fn run_on_host(
        &self,
        phase: Phase,
        section: Section,
        body: Option<&Script>,
    ) -> Result<(), Error> {
        let Some(script) = script(body) else {
            return Ok(());
        };
        self.enter(phase)?;
        let context = match &self.order.request.context {
            Context::Anywhere { folder } | Context::Confined { folder, .. } => folder,
        };
        let command = script.command(section.script_path().unwrap_or_default());
        self.run(&ScriptRun {
            command,
            body: Some(&script.body),
            environment: self.environment(&[("ROOTFS", section.rootfs())]),
            context: Some(context),
            ..self.script(section)
        })
    }

    /// Runs `%post`, and after it the installation of the apps, in the image.
    pub(super) fn run_post(&self) -> Result<(), Error> {
        let Some(script) = post_with_apps(self.stage) else {
            return Ok(());
        };
        self.enter(Phase::Post)?;
        let environment = self.environment_inside("exec", &[("LABELS", "/.build.labels")]);
        let mut command = vec![EXEC.to_owned()];
        command.extend(script.command(Section::Post.script_path().unwrap_or_default()));
        self.run(&ScriptRun {
            command,
            body: Some(&script.body),
            environment,
            binds: &self.order.request.binds,
            ..self.script(Section::Post)
        })
    }

    /// Renews the image's cache of shared libraries after anything may have brought new ones:
    /// without it, programs do not find libraries in folders that `/etc/ld.so.conf` names.
    pub(super) fn refresh_libraries(&self) -> Result<(), Error> {
        let sections = &self.stage.sections;
        let is_changed = post_with_apps(self.stage).is_some() || !sections.files.is_empty();
        if !is_changed || !self.has_file(LDCONFIG)? {
            return Ok(());
        }
        let run = ScriptRun {
            command: vec![LDCONFIG.to_owned()],
            environment: clean_environment(self.order.settings),
            network: Network::None,
            ..self.script(Section::Post)
        };
        let mut output = |_: &[u8]| {};
        let cancel = &self.order.watch.cancel;
        if let Err(error) = run_script(&self.workspace, &run, &mut output, cancel) {
            self.order.watch.check()?;
            self.warn(&format!("cache of shared libraries is as it was: {error}"));
        }
        // It speaks of inodes, which are others in every build.
        self.inside(&Task::RemoveFile(LDCONFIG_NOTES.into()))?;
        Ok(())
    }

    /// Runs the image's test as the image's users would.
    pub(super) fn run_test(&self) -> Result<(), Error> {
        let test = self.stage.sections.test.as_ref();
        let section = match self.order.request.test {
            _ if script(test).is_none() => return Ok(()),
            Test::Skip => return Ok(()),
            Test::ReadOnly => Section::Test,
            Test::Writable => Section::TestWritable,
        };
        self.enter(Phase::Test)?;
        self.run(&ScriptRun {
            command: vec![TEST.to_owned()],
            environment: self.environment_inside("test", &[]),
            binds: &self.order.request.binds,
            ..self.script(section)
        })
    }

    fn has_file(&self, path: &str) -> Result<bool, Error> {
        match self.inside(&Task::FindFiles(vec![path.to_owned()]))? {
            Reply::Found(found) => Ok(found.iter().any(|found| !found.is_empty())),
            other => Err(unexpected(&other)),
        }
    }

    fn script(&self, section: Section) -> ScriptRun<'_> {
        ScriptRun {
            section,
            command: Vec::new(),
            body: None,
            environment: Vec::new(),
            context: None,
            binds: &[],
            network: self.order.settings.network,
            limits: self.order.request.limits,
        }
    }

    fn run(&self, run: &ScriptRun<'_>) -> Result<(), Error> {
        let mut output = |bytes: &[u8]| (self.order.events)(Event::Output(bytes));
        let ended = run_script(&self.workspace, run, &mut output, &self.order.watch.cancel);
        ended.map_err(|error| self.order.watch.explain(error, run.section.name()))
    }

    /// What a script in the image has: it knows that it is in one, as with Apptainer. The name is
    /// that of the tree beside the image, so that it is the same in every build.
    fn environment_inside(
        &self,
        command: &str,
        variables: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let tree = Section::Setup.rootfs();
        let name = tree.rsplit('/').next().unwrap_or_default();
        let common = [("CONTAINER", tree), ("NAME", name), ENVIRONMENT];
        let mut environment = self.environment(&[&common, variables].concat());
        environment.push(("APPTAINER_COMMAND".to_owned(), command.to_owned()));
        environment
    }

    /// A clean environment, with variables under both of the names that scripts know.
    fn environment(&self, variables: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut environment = clean_environment(self.order.settings);
        for (name, value) in variables {
            for prefix in ["APPTAINER", "SINGULARITY"] {
                environment.push((format!("{prefix}_{name}"), (*value).to_owned()));
            }
        }
        environment
    }
}

fn script(script: Option<&Script>) -> Option<&Script> {
    script.filter(|script| !script.is_blank())
}
