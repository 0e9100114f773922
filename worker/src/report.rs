//! What the engine says on its thread, and how it gets to the hub.

use std::sync::Arc;

use cooperage_image::{BuiltImage, Cancel, Error, Event, Request, definition};
use cooperage_protocol::Failure;
use tokio::sync::mpsc;

use crate::Build;
use crate::attempt::{Attempt, AttemptError};
use crate::log::Log;

/// Where the engine's events go.
#[derive(Clone)]
pub(crate) struct Report {
    log: Arc<Log>,
    phases: mpsc::UnboundedSender<Step>,
}

/// What the phases' queue holds.
pub(crate) enum Step {
    Begun(&'static str),
    End,
}

impl Report {
    pub(crate) fn new(log_bytes: u64) -> (Self, mpsc::UnboundedReceiver<Step>) {
        let (phases, begun) = mpsc::unbounded_channel();
        (
            Self {
                log: Arc::new(Log::new(log_bytes)),
                phases,
            },
            begun,
        )
    }

    pub(crate) fn phase(&self, name: &'static str) {
        // Nobody listens any more only when the attempt is over.
        drop(self.phases.send(Step::Begun(name)));
    }

    fn event(&self, event: &Event<'_>, cancel: &Cancel) {
        match event {
            Event::Phase(phase) => self.phase(phase.as_str()),
            Event::Info(text) => self.log.line("INFO:    ", text, cancel),
            Event::Warning(text) => self.log.line("WARNING: ", text, cancel),
            Event::Output(bytes) => self.log.output(bytes, cancel),
            Event::Progress(_) => {}
        }
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
        drop(self.phases.send(Step::End));
    }

    /// Sends log and phases to the hub until both have ended.
    pub(crate) async fn forward(
        &self,
        attempt: &Attempt,
        mut phases: mpsc::UnboundedReceiver<Step>,
    ) -> Result<(), AttemptError> {
        let phases = async {
            while let Some(Step::Begun(name)) = phases.recv().await {
                match attempt.start_phase(name).await {
                    Err(AttemptError::Refused(reason)) => {
                        tracing::warn!(reason, "phase {name} is not recorded");
                    }
                    told => told?,
                }
            }
            Ok(())
        };
        tokio::try_join!(self.log.ship(attempt), phases)?;
        Ok(())
    }
}

/// Builds, and shows in the log where the definition is wrong.
pub(crate) fn build_and_explain(
    engine: &Build,
    request: &Request,
    report: &Report,
    cancel: &Cancel,
) -> Result<BuiltImage, Error> {
    let built = engine(request, &|event| report.event(&event, cancel), cancel);
    if let Err(Error::Definition(diagnostics)) = &built {
        let text = String::from_utf8_lossy(&request.definition);
        for diagnostic in diagnostics {
            let shown = definition::render(diagnostic, &request.name, &text);
            report.log.line("", shown.trim_end_matches('\n'), cancel);
        }
    }
    built
}
