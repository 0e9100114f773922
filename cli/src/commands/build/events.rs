//! A build as lines of JSON, for programs that show it in their own way.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use cooperage_image::{BuiltImage, Error, Event};
use cooperage_protocol::event::{BuildEvent, ImageMade};
use cooperage_protocol::{BuildState, FailureKind};
use cooperage_worker::told;

use crate::progress::ignore_closed;

/// Writes events to standard output, a line each.
#[derive(Default)]
pub(super) struct Lines {
    /// The beginning of a character that a script has not printed to its end.
    unfinished: Mutex<Vec<u8>>,
}

impl Lines {
    pub(super) fn show(&self, event: &Event<'_>) {
        let event = match event {
            Event::Phase(phase) => BuildEvent::Phase {
                name: phase.as_str().to_owned(),
            },
            Event::Info(text) => log(format!("INFO:    {text}\n")),
            Event::Warning(text) => log(format!("WARNING: {text}\n")),
            Event::Diagnostic(diagnostic) => BuildEvent::Diagnostic(told::diagnostic(diagnostic)),
            Event::Output(bytes) => match self.text(bytes) {
                text if text.is_empty() => return,
                text => log(text),
            },
            Event::Progress(progress) => BuildEvent::Progress {
                step: progress.step.to_owned(),
                done: progress.done,
                total: progress.total,
            },
        };
        write(&event);
    }

    /// Tells how it ended.
    pub(super) fn finish(&self, built: Result<&BuiltImage, &Error>) {
        let mut rest = self
            .unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !rest.is_empty() {
            write(&log(
                String::from_utf8_lossy(&std::mem::take(&mut *rest)).into_owned()
            ));
        }
        if let Err(Error::Definition(diagnostics)) = built {
            for diagnostic in diagnostics {
                write(&BuildEvent::Diagnostic(told::diagnostic(diagnostic)));
            }
        }
        write(&state(built));
    }

    /// The text of bytes, as far as its characters are complete.
    fn text(&self, bytes: &[u8]) -> String {
        let mut waiting = self
            .unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        waiting.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&waiting) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => waiting.len(),
        };
        let rest = waiting.split_off(whole);
        let text = std::mem::replace(&mut *waiting, rest);
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn log(text: String) -> BuildEvent {
    BuildEvent::Log { text }
}

fn state(built: Result<&BuiltImage, &Error>) -> BuildEvent {
    match built {
        Ok(image) => BuildEvent::State {
            state: BuildState::Succeeded,
            failure: None,
            image: Some(ImageMade {
                path: image.path.display().to_string(),
                size: image.file.as_ref().map(|file| file.layout.size()),
            }),
        },
        Err(error) => {
            let failure = told::failure(error);
            BuildEvent::State {
                state: match failure.kind {
                    FailureKind::Cancelled => BuildState::Cancelled,
                    _ => BuildState::Failed,
                },
                failure: Some(failure),
                image: None,
            }
        }
    }
}

fn write(event: &BuildEvent) {
    let mut out = io::stdout().lock();
    let written = serde_json::to_writer(&mut out, event).map_err(io::Error::from);
    ignore_closed(
        written
            .and_then(|()| writeln!(out))
            .and_then(|()| out.flush()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_told_when_it_is_complete_and_what_is_none_is_replaced() {
        let lines = Lines::default();

        assert_eq!(lines.text(b"a\xe2\x82"), "a");
        assert_eq!(lines.text(b"\xacb"), "\u{20ac}b");
        assert_eq!(lines.text(b"\xffc"), "\u{fffd}c");
        assert!(lines.unfinished.lock().unwrap().is_empty());
    }
}
