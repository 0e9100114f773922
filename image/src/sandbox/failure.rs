//! What went wrong inside a namespace, in a form that can be sent out of it.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, FailureKind};
use crate::layer;

/// What went wrong inside a namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    kind: Kind,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    /// The machine does not offer what is needed.
    Machine,
    /// What we were given to work on is wrong.
    Input,
    /// No space is left, or none that may be used.
    DiskFull,
    /// Anything else.
    Internal,
}

impl Failure {
    /// The machine refuses something that the sandbox needs.
    pub fn machine(what: &str, cause: impl std::fmt::Display) -> Self {
        Self {
            kind: Kind::Machine,
            message: format!("{what}: {cause}"),
        }
    }

    /// The work given is wrong: a file that is not there, a folder that is a file.
    pub fn input<S: Into<String>>(message: S) -> Self {
        Self {
            kind: Kind::Input,
            message: message.into(),
        }
    }

    /// What went wrong, in a sentence.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// For `map_err`: an I/O error with what was being done and to which path.
    pub fn io<P: AsRef<Path>>(action: &'static str, path: P) -> impl FnOnce(io::Error) -> Self {
        move |error| Self {
            kind: kind_of(&error),
            message: format!("{action} {}: {error}", path.as_ref().display()),
        }
    }
}

fn kind_of(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::DiskFull,
        _ => Kind::Internal,
    }
}

impl From<layer::Error> for Failure {
    fn from(error: layer::Error) -> Self {
        let kind = match &error {
            layer::Error::Read(source) | layer::Error::Io { source, .. } => kind_of(source),
            layer::Error::TooLarge => Kind::DiskFull,
            _ => Kind::Input,
        };
        Self {
            kind,
            message: with_causes(&error),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            FailureKind::Base => Kind::Input,
            FailureKind::Disk => Kind::DiskFull,
            _ => Kind::Internal,
        };
        Self {
            kind,
            message: with_causes(&error),
        }
    }
}

/// The causes cannot be sent as they are.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    message
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let message = failure.message;
        match failure.kind {
            Kind::Machine => Self::Machine {
                message,
                help: None,
            },
            Kind::Input => Self::Base {
                message,
                help: None,
            },
            Kind::DiskFull => Self::Limit {
                kind: FailureKind::Disk,
                message,
                section: None,
            },
            Kind::Internal => Self::Internal(message),
        }
    }
}
