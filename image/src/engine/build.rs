//! One build: its folder, and what each of its steps does there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::event::{Event, Phase};
use super::image::{BuiltImage, Facts};
use super::request::{Context, Request, Settings, clean_environment};
use super::watch::Watch;
use crate::base::{self, Base, Bootstrapper};
use crate::definition::{App, Definition, FileCopy, FilesFrom, Header, Script, Stage};
use crate::error::{Error, FailureKind};
use crate::files::{self, Pair};
use crate::inside::{Reply, Task};
use crate::metadata::{AppOfStage, InspectFacts, MetadataOfStage, post_with_apps};
use crate::sandbox::{Namespace, ScriptRun, Section, Streams, Workspace, run_script};
use crate::sif::{self, SifContents};
use crate::squashfs;

/// Sources the image's environment, then becomes the command that follows.
const EXEC: &str = "/.singularity.d/actions/exec";
const TEST: &str = "/.singularity.d/actions/test";

/// What is to be built, for whom, and who is told of it.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) settings: &'a Settings,
    pub(super) request: &'a Request,
    pub(super) definition: &'a Definition,
    pub(super) events: &'a (dyn Fn(Event<'_>) + Sync),
}

/// A build that has begun. Its folder is removed when it is dropped.
pub(super) struct Build<'a> {
    order: Order<'a>,
    watch: &'a Watch,
    /// The stage that becomes the image.
    stage: &'a Stage,
    workspace: Workspace,
    /// What the file system cannot represent of the tree, in JSON lines.
    ledger: String,
    base: Base,
    facts: InspectFacts,
}

impl<'a> Build<'a> {
    pub(super) fn begin(order: Order<'a>, watch: &'a Watch) -> Result<Self, Error> {
        let stage = only_stage(order.definition)?;
        let namespace = Namespace::new(order.settings.identity)?;
        let workspace = Workspace::create(&order.settings.scratch, &namespace)?;
        Ok(Self {
            order,
            watch,
            stage,
            workspace,
            ledger: String::new(),
            base: Base::default(),
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
            cancel: &self.watch.cancel,
            workspace: &self.workspace,
            ledger: String::new(),
            unpacked: 0,
        };
        let base = base::bootstrap(&mut bootstrapper, &self.stage.header.bootstrap);
        self.base = base.map_err(|error| at_base(error, &self.stage.header))?;
        self.ledger = bootstrapper.ledger;

        self.watch.check()?;
        self.inside(&Task::InstallBase(self.base.kind))?;
        if let Some(config) = self.base.config.clone() {
            let include_cmd = self.base.include_cmd;
            self.inside(&Task::InstallConfig {
                config: Box::new(config),
                include_cmd,
            })?;
        }
        let apps = self
            .stage
            .sections
            .apps
            .iter()
            .map(AppOfStage::from)
            .collect();
        self.inside(&Task::InstallApps(apps))?;
        Ok(())
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
        let sections = &self.stage.sections;
        let apps = sections.apps.iter().flat_map(App::copies);
        let files = sections.files.iter();
        let files = files.filter(|files| files.from == FilesFrom::Context);
        let files = files.flat_map(|files| files.copies.clone());
        let pairs: Vec<Pair> = apps.chain(files).map(pair).collect();
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

    /// Runs `%post`, and after it the installation of the apps, in the image.
    pub(super) fn run_post(&self) -> Result<(), Error> {
        let Some(script) = post_with_apps(self.stage) else {
            return Ok(());
        };
        self.enter(Phase::Post)?;
        let environment = self.environment(&[
            ("ENVIRONMENT", "/.singularity.d/env/91-environment.sh"),
            ("LABELS", "/.build.labels"),
        ]);
        let mut command = vec![EXEC.to_owned()];
        command.extend(script.command(Section::Post.script_path().unwrap_or_default()));
        self.run(&ScriptRun {
            command,
            body: Some(&script.body),
            environment,
            ..self.script(Section::Post)
        })
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
            (self.order.events)(Event::Warning(warning));
        }
        Ok(())
    }

    /// Runs the image's test as the image's users would.
    pub(super) fn run_test(&self) -> Result<(), Error> {
        let test = self.stage.sections.test.as_ref();
        if !self.order.request.test || script(test).is_none() {
            return Ok(());
        }
        self.enter(Phase::Test)?;
        self.run(&ScriptRun {
            command: vec![TEST.to_owned()],
            environment: self.environment(&[]),
            ..self.script(Section::Test)
        })
    }

    /// Packs the tree, wraps it and puts it in its place.
    pub(super) fn pack(&mut self) -> Result<BuiltImage, Error> {
        self.enter(Phase::Pack)?;
        let tree = self.workspace.path().join("rootfs.squashfs");
        let extra = squashfs::Extra {
            latest: self.order.request.epoch,
            ledger: &self.ledger,
        };
        squashfs::pack(
            self.workspace.namespace(),
            &self.workspace.rootfs(),
            extra,
            &tree,
            &self.watch.cancel,
        )?;
        self.watch.check()?;

        let image = self.wrap(&tree)?;
        self.say("build complete");
        Ok(image)
    }

    fn wrap(&mut self, tree: &Path) -> Result<BuiltImage, Error> {
        let definition = self.order.definition.redacted();
        let config = self.base.config.as_ref().or(self.base.inherited.as_ref());
        let config = config.map(serde_json::to_vec).transpose();
        let config = config.map_err(|error| Error::Internal(error.to_string()))?;
        let inspect = self.facts.inspect_json.as_bytes();
        let mut objects = vec![("inspect-metadata.json", inspect)];
        objects.extend(config.as_deref().map(|config| ("oci-config.json", config)));
        let contents = SifContents {
            definition: &definition,
            objects,
            squashfs: tree,
            architecture: &self.facts.architecture,
            time: self.time(),
        };
        let summary = write_beside(&self.order.request.output, &contents)?;
        Ok(BuiltImage {
            path: self.order.request.output.clone(),
            size: summary.size,
            sha256: summary.sha256,
            md5: summary.md5,
            facts: self.facts(definition),
        })
    }

    fn facts(&mut self, definition: String) -> Facts {
        let facts = std::mem::take(&mut self.facts);
        Facts {
            architecture: facts.architecture,
            definition,
            labels: facts.labels,
            environment: facts.environment,
            runscript: facts.runscript,
            startscript: facts.startscript,
            test: facts.test,
            help: facts.help,
            base: self.base.reference.take(),
        }
    }

    fn enter(&self, phase: Phase) -> Result<(), Error> {
        self.watch.check()?;
        (self.order.events)(Event::Phase(phase));
        Ok(())
    }

    fn say(&self, line: &str) {
        (self.order.events)(Event::Info(line));
    }

    fn inside(&self, task: &Task) -> Result<Reply, Error> {
        let rootfs = self.workspace.rootfs();
        self.workspace
            .namespace()
            .perform(&rootfs, task, Streams::default())
    }

    fn script(&self, section: Section) -> ScriptRun<'_> {
        ScriptRun {
            section,
            command: Vec::new(),
            body: None,
            environment: Vec::new(),
            context: None,
            network: self.order.settings.network,
            limits: self.order.request.limits,
        }
    }

    fn run(&self, run: &ScriptRun<'_>) -> Result<(), Error> {
        let mut output = |bytes: &[u8]| (self.order.events)(Event::Output(bytes));
        let ended = run_script(&self.workspace, run, &mut output, &self.watch.cancel);
        ended.map_err(|error| self.watch.explain(error, run.section.name()))
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

    fn time(&self) -> i64 {
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

/// The stage that becomes the image.
fn only_stage(definition: &Definition) -> Result<&Stage, Error> {
    match definition.stages.as_slice() {
        [stage] => Ok(stage),
        stages => Err(Error::Base {
            message: format!("definition has {} stages", stages.len()),
            help: Some("definitions of one stage can be built".to_owned()),
        }),
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

/// Writes the image under another name first, so that what has its name is complete.
fn write_beside(output: &Path, contents: &SifContents<'_>) -> Result<sif::SifSummary, Error> {
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let temporary = tempfile::Builder::new()
        .prefix(".cooperage-")
        .suffix(".sif")
        .tempdir_in(&folder)
        .map_err(Error::io("creating an image in", &folder))?;
    let path = temporary.path().join("image.sif");
    let summary = sif::create(&path, contents).map_err(|error| wrapping(error, output))?;
    fs::rename(&path, output).map_err(Error::io("writing", output))?;
    File::open(&folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("writing", &folder))?;
    Ok(summary)
}

fn wrapping(error: sif::SifError, output: &Path) -> Error {
    match error {
        sif::SifError::Write(source) | sif::SifError::Read(source) => {
            Error::io("writing", output)(source)
        }
        error => Error::Internal(error.to_string()),
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::Internal(format!("task was answered by {reply:?}"))
}
