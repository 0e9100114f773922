//! What the engine says on its thread, and how it gets to the hub.

use std::sync::Arc;

use cooperage_image::definition::{self, ShownText};
use cooperage_image::{BuiltImage, Cancel, Error, Event, Request};
use cooperage_protocol::{Diagnostic, Failure};
use tokio::sync::mpsc;

use crate::Build;
use crate::attempt::{Attempt, AttemptError};
use crate::log::Log;
use crate::outcome;

/// Where the engine's events go.
#[derive(Clone)]
pub(crate) struct Report {
    log: Arc<Log>,
    steps: mpsc::UnboundedSender<Step>,
}

/// What is told to the hub besides the log.
pub(crate) enum Step {
    Begun(&'static str),
    Diagnosed(Diagnostic),
    End,
}

/// How many steps are taken from the queue at once.
const MOST_STEPS: usize = 100;

impl Report {
    pub(crate) fn new(log_bytes: u64) -> (Self, mpsc::UnboundedReceiver<Step>) {
        let (steps, taken) = mpsc::unbounded_channel();
        (
            Self {
                log: Arc::new(Log::new(log_bytes)),
                steps,
            },
            taken,
        )
    }

    pub(crate) fn phase(&self, name: &'static str) {
        self.tell(Step::Begun(name));
    }

    fn tell(&self, step: Step) {
        // Nobody listens any more only when the attempt is over.
        drop(self.steps.send(step));
    }

    fn event(&self, request: &Request, event: &Event<'_>, cancel: &Cancel) {
        match event {
            Event::Phase(phase) => self.phase(phase.as_str()),
            Event::Info(text) => self.log.line("INFO:    ", text, cancel),
            Event::Warning(text) => self.log.line("WARNING: ", text, cancel),
            Event::Diagnostic(diagnostic) => self.diagnosed(request, diagnostic, cancel),
            Event::Output(bytes) => self.log.output(bytes, cancel),
            Event::Progress(_) => {}
        }
    }

    /// Warns in the log.
    pub(crate) fn warn(&self, text: &str, cancel: &Cancel) {
        self.log.line("WARNING: ", text, cancel);
    }

    /// Tells of a diagnostic in the log, and where its line is shown.
    fn diagnosed(&self, request: &Request, diagnostic: &definition::Diagnostic, cancel: &Cancel) {
        let text = ShownText::of(&request.definition, &request.definition_options);
        let shown = definition::render(diagnostic, &request.name, &text);
        self.log.line("", shown.trim_end_matches('\n'), cancel);
        self.tell(Step::Diagnosed(outcome::diagnostic(diagnostic)));
    }

    /// Says in the log why there is no image, and ends log and phases.
    pub(crate) fn end(&self, failure: Option<&Failure>) {
        let stopped = Cancel::default();
        stopped.cancel();
        if let Some(failure) = failure {
            self.log.line("FATAL:   ", &failure.message, &stopped);
            if let Some(help) = &failure.help {
                self.log.line("         ", help, &stopped);
            }
        }
        self.log.close();
        self.tell(Step::End);
    }

    /// Sends log and steps to the hub until both have ended.
    pub(crate) async fn forward(
        &self,
        attempt: &Attempt,
        steps: mpsc::UnboundedReceiver<Step>,
    ) -> Result<(), AttemptError> {
        tokio::try_join!(self.log.ship(attempt), forward_steps(attempt, steps))?;
        Ok(())
    }
}

async fn forward_steps(
    attempt: &Attempt,
    mut steps: mpsc::UnboundedReceiver<Step>,
) -> Result<(), AttemptError> {
    let mut diagnostics = Vec::new();
    let mut taken = Vec::new();
    loop {
        let known = diagnostics.len();
        let mut has_ended = steps.recv_many(&mut taken, MOST_STEPS).await == 0;
        for step in taken.drain(..) {
            match step {
                Step::Begun(name) => unless_refused(attempt.start_phase(name).await)?,
                Step::Diagnosed(diagnostic) => diagnostics.push(diagnostic),
                Step::End => has_ended = true,
            }
        }
        if diagnostics.len() > known {
            unless_refused(attempt.diagnose(&diagnostics).await)?;
        }
        if has_ended {
            return Ok(());
        }
    }
}

/// What the hub does not want to know is no reason to stop telling the rest.
fn unless_refused(told: Result<(), AttemptError>) -> Result<(), AttemptError> {
    match told {
        Err(AttemptError::Refused(reason)) => {
            tracing::warn!(reason, "a step of a build is not recorded");
            Ok(())
        }
        told => told,
    }
}

/// Builds, and shows in the log where the definition is wrong.
pub(crate) fn build_and_explain(
    engine: &Build,
    request: &Request,
    report: &Report,
    cancel: &Cancel,
) -> Result<BuiltImage, Error> {
    let events = |event: Event<'_>| report.event(request, &event, cancel);
    let built = engine(request, &events, cancel);
    if let Err(Error::Definition(diagnostics)) = &built {
        for diagnostic in diagnostics {
            report.diagnosed(request, diagnostic, cancel);
        }
    }
    built
}
