//! How the engine's results and errors are told to the hub.

use cooperage_image::pack::{self, Digests};
use cooperage_image::{Error, Facts, FailureKind as EngineKind, definition};
use cooperage_protocol::image::{Base, Extent, ImageFacts, Layout};
use cooperage_protocol::worker::FinishedImage;
use cooperage_protocol::{Diagnostic, Digest, Failure, FailureKind, Severity};

use crate::attempt::AttemptError;
use crate::context::ContextError;

/// The image as the pieces of its objects.
pub(crate) fn finished(layout: &pack::Layout, digests: Digests, told: Facts) -> FinishedImage {
    let extents = layout.extents.iter().map(|extent| Extent {
        object: Digest::from_bytes(extent.object),
        offset: extent.offset,
        length: extent.length,
    });
    FinishedImage {
        digest: Digest::from_bytes(digests.sha256),
        md5: hex::encode(digests.md5),
        layout: Layout(extents.collect()),
        facts: facts(told),
    }
}

fn facts(facts: Facts) -> ImageFacts {
    ImageFacts {
        architecture: facts.architecture,
        definition: facts.definition,
        labels: facts.labels,
        environment: facts.environment,
        runscript: facts.runscript,
        startscript: facts.startscript,
        test: facts.test,
        help: facts.help,
        base: facts
            .base
            .map(|(reference, digest)| Base { reference, digest }),
    }
}

/// What the engine tells of a definition.
pub fn diagnostic(diagnostic: &definition::Diagnostic) -> Diagnostic {
    Diagnostic {
        severity: match diagnostic.severity {
            definition::Severity::Error => Severity::Error,
            definition::Severity::Warning => Severity::Warning,
            definition::Severity::Advice => Severity::Advice,
        },
        code: diagnostic.code.to_owned(),
        message: diagnostic.message.clone(),
        help: diagnostic.help.clone(),
        line: diagnostic.line,
        column: diagnostic.column,
        length: diagnostic.length,
    }
}

/// Why the engine made no image.
pub fn of_engine(error: &Error) -> Failure {
    if let Error::At {
        error,
        line,
        column,
    } = error
    {
        return Failure {
            line: Some(*line),
            column: Some(*column),
            ..of_engine(error)
        };
    }
    if let Error::Stage { stage, error } = error {
        let failure = of_engine(error);
        return Failure {
            message: format!("{stage}: {}", failure.message),
            ..failure
        };
    }
    let mut failure = Failure::new(kind(error.kind()), with_cause(error));
    match error {
        Error::Definition(diagnostics) => {
            if let Some(first) = diagnostics.iter().find(|diagnostic| diagnostic.is_error()) {
                failure.help.clone_from(&first.help);
                failure.line = Some(first.line);
                failure.column = Some(first.column);
            }
        }
        Error::Script { section, status } => {
            failure.section = Some(format!("%{section}"));
            failure.status = Some(*status);
        }
        Error::Limit { section, .. } => {
            failure.section = section.as_ref().map(|section| format!("%{section}"));
        }
        Error::Base { help, .. } | Error::Machine { help, .. } => failure.help.clone_from(help),
        Error::Network { .. }
        | Error::At { .. }
        | Error::Stage { .. }
        | Error::NotStarted { .. }
        | Error::Exists(_)
        | Error::Cancelled
        | Error::Io { .. }
        | Error::Internal(_) => {}
    }
    failure
}

fn kind(kind: EngineKind) -> FailureKind {
    match kind {
        EngineKind::Recipe => FailureKind::Recipe,
        EngineKind::Script => FailureKind::Script,
        EngineKind::Base => FailureKind::Base,
        EngineKind::Time => FailureKind::Time,
        EngineKind::Memory => FailureKind::Memory,
        EngineKind::Processes => FailureKind::Processes,
        EngineKind::Disk => FailureKind::Disk,
        EngineKind::Network => FailureKind::Network,
        EngineKind::Cancelled => FailureKind::Cancelled,
        EngineKind::Internal => FailureKind::Internal,
    }
}

fn with_cause(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

/// Why the repository could not be had.
pub(crate) fn of_context(error: &ContextError) -> Failure {
    let kind = match error {
        ContextError::Entry(_) | ContextError::Recipe(_) | ContextError::RecipeTooLong(_) => {
            FailureKind::Recipe
        }
        ContextError::TooLarge(_) => FailureKind::Disk,
        ContextError::Io(error) => kind_of_io(error),
        // The hub answers so when the forge does not give the commit.
        ContextError::Call(AttemptError::Refused(_)) => FailureKind::Network,
        ContextError::Call(error) => return of_call(error),
    };
    Failure::new(kind, error.to_string())
}

/// Why a call to the hub came to nothing.
pub(crate) fn of_call(error: &AttemptError) -> Failure {
    let kind = match error {
        AttemptError::Local(error) => kind_of_io(error),
        AttemptError::Lost | AttemptError::Refused(_) => FailureKind::Internal,
    };
    Failure::new(kind, error.to_string())
}

/// Why a file of the worker's own could not be used.
pub(crate) fn of_io(error: &std::io::Error) -> Failure {
    Failure::new(kind_of_io(error), error.to_string())
}

fn kind_of_io(error: &std::io::Error) -> FailureKind {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match error.kind() {
        QuotaExceeded | StorageFull => FailureKind::Disk,
        _ => FailureKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use cooperage_image::definition::{Diagnostic, Severity};

    use super::*;

    fn diagnostic(severity: Severity, line: u32) -> Diagnostic {
        Diagnostic {
            severity,
            code: "unknown-section",
            message: format!("unknown section in line {line}"),
            help: Some("did you mean %post?".to_owned()),
            line,
            column: 2,
            length: 5,
        }
    }

    #[test]
    fn a_wrong_definition_is_told_with_the_place_of_its_first_error() {
        let warning = diagnostic(Severity::Warning, 3);
        let error = diagnostic(Severity::Error, 7);

        let failure = of_engine(&Error::Definition(vec![warning, error]));

        assert_eq!(failure.kind, FailureKind::Recipe);
        assert_eq!(failure.message, "unknown section in line 7");
        assert_eq!((failure.line, failure.column), (Some(7), Some(2)));
        assert_eq!(failure.help.as_deref(), Some("did you mean %post?"));
    }

    #[test]
    fn a_base_that_cannot_be_had_is_told_with_its_place_and_with_help() {
        let base = Error::Base {
            message: "no such image".to_owned(),
            help: Some("the tags are a and b".to_owned()),
        };

        let failure = of_engine(&Error::At {
            error: Box::new(base),
            line: 2,
            column: 7,
        });

        assert_eq!(failure.kind, FailureKind::Base);
        assert_eq!((failure.line, failure.column), (Some(2), Some(7)));
        assert_eq!(failure.help.as_deref(), Some("the tags are a and b"));
    }

    #[test]
    fn a_failed_script_is_told_with_its_section_and_status() {
        let failure = of_engine(&Error::Script {
            section: "post".to_owned(),
            status: 3,
        });

        assert_eq!(failure.kind, FailureKind::Script);
        assert_eq!(
            (failure.section.as_deref(), failure.status),
            (Some("%post"), Some(3))
        );
    }

    #[test]
    fn a_full_disk_is_told_as_such_and_with_its_cause() {
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);

        let failure = of_engine(&Error::io("writing", "layer")(source));

        assert_eq!(failure.kind, FailureKind::Disk);
        assert!(
            failure.message.starts_with("writing layer: "),
            "{}",
            failure.message
        );
    }
}
