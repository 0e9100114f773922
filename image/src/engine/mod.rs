//! The build as one line: parse → base → setup → files → post → metadata → test → pack → SIF.

mod build;
mod event;
mod image;
mod request;
mod run;
mod watch;

use self::build::{Build, Order};
use self::watch::Watch;
use crate::definition::{self, Definition};
use crate::error::Error;
use crate::sandbox::{self, Namespace};

pub use self::event::{Event, Phase, Progress};
pub use self::image::{BuiltImage, Facts};
pub(crate) use self::request::passed_on;
pub use self::request::{Cancel, Context, Limits, Request, Settings};

/// Builds images.
#[derive(Debug, Clone)]
pub struct Engine {
    settings: Settings,
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
        refuse_existing(request)?;
        let order = Order {
            settings: &self.settings,
            request,
            definition: &definition,
            events,
        };
        Watch::over(cancel, request.limits.time, |watch| {
            let mut build = Build::begin(order, watch)?;
            build.run_pre()?;
            build.bootstrap()?;
            build.run_setup()?;
            build.copy_files()?;
            build.run_post()?;
            build.install_metadata()?;
            build.run_test()?;
            build.pack()
        })
    }
}

fn parse(request: &Request, events: &(dyn Fn(Event<'_>) + Sync)) -> Result<Definition, Error> {
    let parsed = definition::parse(&request.definition, &request.definition_options);
    let diagnostics = parsed.redacted_diagnostics();
    let Some(definition) = parsed.definition else {
        return Err(Error::Definition(diagnostics));
    };
    for diagnostic in &diagnostics {
        events(Event::Diagnostic(diagnostic));
    }
    Ok(definition)
}

fn refuse_existing(request: &Request) -> Result<(), Error> {
    if request.output.exists() && !request.overwrite {
        return Err(Error::Exists(request.output.clone()));
    }
    Ok(())
}
