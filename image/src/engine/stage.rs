//! One stage of a definition: its folder, and what its steps do there that are no scripts.

use std::time::{SystemTime, UNIX_EPOCH};

use super::event::{Event, Phase};
use super::request::{Output, Permissions, Request, Settings};
use super::watch::Watch;
use super::writable;
use crate::base::{self, Base, BasePacks, Below, Bootstrapper};
use crate::definition::{
    App, Bootstrap, Definition, FileCopy, FilesFrom, Header, LocalImage, Stage,
};
use crate::error::{Error, FailureKind};
use crate::files::{self, Pair};
use crate::inside::{Reply, Task};
use crate::lower::{self, Lower};
use crate::metadata::{AppOfStage, InspectFacts, MetadataOfStage};
use crate::pack::Pack;
use crate::sandbox::{Namespace, Streams, Workspace};

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

fn pair(copy: FileCopy) -> Pair {
    Pair {
        source: copy.source,
        destination: copy.destination,
    }
}

pub(super) fn unexpected(reply: &Reply) -> Error {
    Error::Internal(format!("task was answered by {reply:?}"))
}
