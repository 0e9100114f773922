//! One stage of a definition: its folder, and what each of its steps does there.

use std::time::{SystemTime, UNIX_EPOCH};

use super::event::{Event, Phase};
use super::request::{Context, Output, Permissions, Request, Settings, Test, clean_environment};
use super::watch::Watch;
use super::writable;
use crate::base::{self, Base, BasePacks, Below, Bootstrapper};
use crate::definition::{
    App, Bootstrap, Definition, FileCopy, FilesFrom, Header, LocalImage, Script, Stage,
};
use crate::error::{Error, FailureKind};
use crate::files::{self, Pair};
use crate::inside::{Reply, Task};
use crate::lower::{self, Lower};
use crate::metadata::{AppOfStage, InspectFacts, MetadataOfStage, post_with_apps};
use crate::pack::Pack;
use crate::sandbox::{Namespace, Network, ScriptRun, Section, Streams, Workspace, run_script};

/// Sources the image's environment, then becomes the command that follows.
const EXEC: &str = "/.singularity.d/actions/exec";
const TEST: &str = "/.singularity.d/actions/test";

/// Where scripts write assignments that are to be made whenever the image is used.
const ENVIRONMENT: (&str, &str) = ("ENVIRONMENT", "/.singularity.d/env/91-environment.sh");

const LDCONFIG: &str = "/sbin/ldconfig";
/// What it remembers of the files that it looked at.
const LDCONFIG_NOTES: &str = "/var/cache/ldconfig/aux-cache";

/// What is to be built, for whom, and who is told of it.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) settings: &'a Settings,
    pub(super) request: &'a Request,
    pub(super) definition: &'a Definition,
    pub(super) events: &'a (dyn Fn(Event<'_>) + Sync),
    pub(super) watch: &'a Watch,
}

/// A stage that is being built. Its folder is removed when it is dropped.
pub(super) struct StageBuild<'a> {
    pub(super) order: Order<'a>,
    pub(super) stage: &'a Stage,
    pub(super) workspace: Workspace,
    /// What the file system cannot represent of the tree, in JSON lines.
    pub(super) ledger: String,
    pub(super) base: Base,
    /// What the root file system lies over, the uppermost first.
    pub(super) lowers: Vec<Lower>,
    /// The same in packs, the lowest first, if the stage becomes an image of packs.
    pub(super) packs: Vec<Pack>,
    /// What its changes to the base depend on, if that is known.
    pub(super) changes: Option<lower::Key>,
    pub(super) facts: InspectFacts,
}

impl<'a> StageBuild<'a> {
    pub(super) fn begin(order: Order<'a>, stage: &'a Stage) -> Result<Self, Error> {
        let namespace = Namespace::new(order.settings.identity)?;
        let workspace = Workspace::create(&order.settings.scratch, &namespace)?;
        Ok(Self {
            order,
            stage,
            workspace,
            ledger: String::new(),
            base: Base::default(),
            lowers: Vec::new(),
            packs: Vec::new(),
            changes: None,
            facts: InspectFacts::default(),
        })
    }

    /// Fills the root file system from the definition's base.
    pub(super) fn bootstrap(&mut self) -> Result<(), Error> {
        self.enter(Phase::Base)?;
        let mut bootstrapper = Bootstrapper {
            settings: self.order.settings,
            request: self.order.request,
            events: self.order.events,
            cancel: &self.order.watch.cancel,
            workspace: &self.workspace,
            ledger: String::new(),
            unpacked: 0,
            below: self.below()?,
            packs: self.base_packs()?,
        };
        let header = &self.stage.header.bootstrap;
        let updated = self.updated_sandbox();
        let base = match writable::keep(&mut bootstrapper, self.is_last())? {
            Some(base) => Ok(base),
            None => base::bootstrap(&mut bootstrapper, updated.as_ref().unwrap_or(header)),
        };
        self.base = base.map_err(|error| at_base(error, &self.stage.header))?;
        self.ledger = bootstrapper.ledger;
        let packed = bootstrapper.packs.map(BasePacks::into_packed);
        if let Below::Trees(lowers) = bootstrapper.below {
            let trees = lowers.iter().map(|lower| lower.tree.clone()).collect();
            self.workspace.lay_over(trees)?;
            self.lowers = lowers;
            self.packs = packed.map_or(Ok(Vec::new()), |packed| self.complete(packed))?;
        }
        self.order.watch.check()
    }

    /// Gives the base what scripts expect of it.
    pub(super) fn prepare_base(&self) -> Result<(), Error> {
        self.inside(&Task::Several(self.preparations())).map(drop)
    }

    /// What is done to every base before anything is run in it.
    pub(super) fn preparations(&self) -> Vec<Task> {
        let mut tasks = Vec::new();
        if self.order.request.permissions == Permissions::Fix {
            tasks.push(Task::FixPermissions);
        }
        tasks.push(Task::InstallBase(self.base.kind));
        if let Some(config) = self.base.config.clone() {
            tasks.push(Task::InstallConfig {
                config: Box::new(config),
                include_cmd: self.base.include_cmd,
            });
        }
        let apps = self.stage.sections.apps.iter();
        tasks.push(Task::InstallApps(apps.map(AppOfStage::from).collect()));
        tasks
    }

    /// The sandbox that is updated takes the place of the base of the stage that becomes the image.
    fn updated_sandbox(&self) -> Option<Bootstrap> {
        match &self.order.request.output {
            Output::Update(folder) if self.is_last() => {
                let from = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
                Some(Bootstrap::LocalImage(LocalImage {
                    from: from.to_string_lossy().into_owned(),
                    fingerprints: Vec::new(),
                }))
            }
            _ => None,
        }
    }

    /// Whether this stage becomes the image.
    pub(super) fn is_last(&self) -> bool {
        let last = self.order.definition.stages.last();
        last.is_some_and(|last| std::ptr::eq(last, self.stage))
    }

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

    /// Copies `%files` into the image.
    pub(super) fn copy_files(&self) -> Result<(), Error> {
        let pairs = self.pairs();
        if pairs.is_empty() {
            return Ok(());
        }
        self.enter(Phase::Files)?;
        files::copy(
            &self.workspace,
            &self.order.request.context,
            &pairs,
            self.order.request.limits.disk,
            &mut |line| {
                self.say(line);
            },
        )
    }

    /// What is copied of the context, that of apps first.
    pub(super) fn pairs(&self) -> Vec<Pair> {
        let sections = &self.stage.sections;
        let apps = sections.apps.iter().flat_map(App::copies);
        let files = sections.files.iter();
        let files = files.filter(|files| files.from == FilesFrom::Context);
        let files = files.flat_map(|files| files.copies.clone());
        apps.chain(files).map(pair).collect()
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

    fn has_file(&self, path: &str) -> Result<bool, Error> {
        match self.inside(&Task::FindFiles(vec![path.to_owned()]))? {
            Reply::Found(found) => Ok(found.iter().any(|found| !found.is_empty())),
            other => Err(unexpected(&other)),
        }
    }

    /// Writes the image's own metadata.
    pub(super) fn install_metadata(&mut self) -> Result<(), Error> {
        self.enter(Phase::Metadata)?;
        let metadata = MetadataOfStage::new(self.order.definition, self.stage, self.time());
        match self.inside(&Task::InstallStage(Box::new(metadata)))? {
            Reply::Facts(facts) => self.facts = *facts,
            other => return Err(unexpected(&other)),
        }
        for warning in &self.facts.warnings {
            self.warn(warning);
        }
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

    pub(super) fn enter(&self, phase: Phase) -> Result<(), Error> {
        self.order.watch.check()?;
        (self.order.events)(Event::Phase(phase));
        Ok(())
    }

    pub(super) fn warn(&self, line: &str) {
        (self.order.events)(Event::Warning(line));
    }

    pub(super) fn say(&self, line: &str) {
        (self.order.events)(Event::Info(line));
    }

    pub(super) fn inside(&self, task: &Task) -> Result<Reply, Error> {
        self.workspace.perform(task, Streams::default())
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

    pub(super) fn time(&self) -> i64 {
        let now = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs()
        };
        self.order
            .request
            .epoch
            .unwrap_or_else(|| i64::try_from(now()).unwrap_or(i64::MAX))
    }
}

/// A base that cannot be had is explained at the line that names it.
fn at_base(error: Error, header: &Header) -> Error {
    let named_by = ["from", "mirrorurl"];
    let field = named_by.iter().find_map(|key| header.fields.get(*key));
    match (error.kind(), field) {
        (FailureKind::Base | FailureKind::Network, Some(field)) => Error::At {
            error: Box::new(error),
            line: field.line,
            column: field.column,
        },
        _ => error,
    }
}

fn script(script: Option<&Script>) -> Option<&Script> {
    script.filter(|script| !script.is_blank())
}

fn pair(copy: FileCopy) -> Pair {
    Pair {
        source: copy.source,
        destination: copy.destination,
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::Internal(format!("task was answered by {reply:?}"))
}
