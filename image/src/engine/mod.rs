//! The build as one line: parse, then for each stage base → setup → files → post → metadata → test,
//! then the last stage is packed.

mod copies;
mod early;
mod event;
mod finish;
mod image;
mod packs;
mod parts;
mod request;
mod roots;
mod scripts;
mod spec;
mod stage;
mod stages;
mod steps;
mod unfold;
mod watch;
mod writable;

use self::stage::{Order, StageBuild};
use self::stages::Stages;
use self::watch::Watch;
use crate::cache;
use crate::definition::{self, Definition, HeaderNeed, Stage};
use crate::error::Error;
use crate::sandbox::{self, Namespace};

pub use self::event::{Event, Phase, Progress};
pub use self::image::{BuiltImage, Facts, Hold, ImageFile};
pub use self::parts::{Part, Parts};
pub(crate) use self::request::passed_on;
pub use self::request::{
    Cancel, Context, Limits, Output, Permissions, Request, Roots, Settings, Sources, Test,
};
pub use self::spec::{definition_of_image, definition_of_uri};
pub(crate) use self::unfold::unfold;

/// Builds images.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) settings: Settings,
}

impl Engine {
    /// Makes an engine; its folders are made when they are needed.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Removes what builds left in the scratch folder whose process was killed.
    pub fn sweep(&self) -> Result<(), Error> {
        let namespace = Namespace::new(self.settings.identity)?;
        sandbox::sweep(&self.settings.scratch, &namespace)
    }

    /// Turns a definition into an image.
    ///
    /// Nothing is left behind when it fails: the output is renamed into place when it is complete.
    pub fn build(
        &self,
        request: &Request,
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
    ) -> Result<BuiltImage, Error> {
        let definition = parse(request, events)?;
        finish::refuse_existing(request)?;
        let held = cache::hold(&self.settings.cache)?;
        Watch::over(cancel, request.limits.time, |watch| {
            let order = Order {
                settings: &self.settings,
                request,
                definition: &definition,
                events,
                watch,
            };
            let mut stages = Stages::of(&definition);
            for stage in &definition.stages {
                stages.announce(&|line| events(Event::Info(line)));
                let built = build_stage(order, stage, &stages);
                stages.add(built.map_err(|error| stages.name_next(error))?);
            }
            stages.into_last()?.finish(held)
        })
    }
}

fn build_stage<'a>(
    order: Order<'a>,
    stage: &'a Stage,
    earlier: &Stages<'a>,
) -> Result<StageBuild<'a>, Error> {
    let mut build = StageBuild::begin(order, stage)?;
    build.check_machine()?;
    build.run_pre()?;
    build.bootstrap()?;
    build.change_base(earlier)?;
    build.install_metadata()?;
    build.run_test()?;
    Ok(build)
}

/// Reads the request's definition, with its warnings told.
pub(crate) fn parse(
    request: &Request,
    events: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Definition, Error> {
    let mut options = request.definition_options.clone();
    if matches!(request.output, Output::Update(_)) {
        options.header = HeaderNeed::Optional;
    }
    let parsed = definition::parse(&request.definition, &options);
    let Some(mut definition) = parsed.definition else {
        return Err(Error::Definition(parsed.diagnostics));
    };
    for diagnostic in &parsed.diagnostics {
        events(Event::Diagnostic(diagnostic));
    }
    for stage in &mut definition.stages {
        request.parts.keep_in(&mut stage.sections);
    }
    Ok(definition)
}
