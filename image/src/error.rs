//! Why a build ended without an image.

use std::path::PathBuf;

use crate::definition::Diagnostic;

/// What kind of thing went wrong, for callers that treat kinds differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The definition is wrong.
    Recipe,
    /// A script ended with a status other than zero.
    Script,
    /// The base cannot be had: it is not there, not allowed, or not an image.
    Base,
    /// The time limit was reached.
    Time,
    /// The memory limit was reached.
    Memory,
    /// The limit on processes was reached.
    Processes,
    /// The disk limit was reached, or the disk is full.
    Disk,
    /// A host could not be reached.
    Network,
    /// The caller cancelled the build.
    Cancelled,
    /// Nothing the user did.
    Internal,
}

/// Why a build ended without an image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The definition is wrong; at least one of the diagnostics is an error.
    #[error("{}", first_error(.0))]
    Definition(Vec<Diagnostic>),
    /// A script of the definition failed.
    #[error("%{section} ended with exit status {status}")]
    Script {
        /// Name of the section without its percent sign.
        section: String,
        /// Exit status; 128 + n for signal n.
        status: i32,
    },
    /// A limit was reached. The kind is one of time, memory, processes and disk.
    #[error("{message}")]
    Limit {
        /// Which limit.
        kind: FailureKind,
        /// Which limit and how high it was, in a sentence.
        message: String,
        /// The section that ran, without its percent sign.
        section: Option<String>,
    },
    /// The base cannot be had.
    #[error("{message}")]
    Base {
        /// What was asked for and what came back.
        message: String,
        /// What would be right.
        help: Option<String>,
    },
    /// A host could not be reached, also after retrying.
    #[error("{message}")]
    Network {
        /// Which host, and what happened.
        message: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// What went wrong has a place in the definition.
    #[error("{error}")]
    At {
        /// What went wrong.
        error: Box<Error>,
        /// Line of the definition, from 1.
        line: u32,
        /// Column in characters, from 1.
        column: u32,
    },
    /// What went wrong belongs to one of several stages.
    #[error("{stage}: {error}")]
    Stage {
        /// Which: its number, and its name if it has one.
        stage: String,
        /// What went wrong.
        error: Box<Error>,
    },
    /// A program or a setting of the machine is missing.
    #[error("{message}")]
    Machine {
        /// What is missing.
        message: String,
        /// What to install or to set.
        help: Option<String>,
    },
    /// A program of an image cannot be started.
    #[error("{program} cannot be run: {why}")]
    NotStarted {
        /// Which.
        program: String,
        /// Why.
        why: String,
        /// The exit status that a shell has for it: 127 if it is missing, 126 otherwise.
        status: u8,
    },
    /// The image exists already and overwriting was not asked for.
    #[error("{} exists already; use --force to overwrite it", .0.display())]
    Exists(PathBuf),
    /// The caller cancelled the build.
    #[error("build was cancelled")]
    Cancelled,
    /// Reading or writing failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was being done, as a participle (`writing`).
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

fn first_error(diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .iter()
        .find(|diagnostic| diagnostic.is_error())
        .map_or_else(
            || "definition is wrong".to_owned(),
            |diagnostic| diagnostic.message.clone(),
        )
}

impl Error {
    /// What kind of thing went wrong.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Definition(_) => FailureKind::Recipe,
            Self::Script { .. } => FailureKind::Script,
            Self::Limit { kind, .. } => *kind,
            Self::At { error, .. } | Self::Stage { error, .. } => error.kind(),
            Self::Base { .. } => FailureKind::Base,
            Self::Network { .. } => FailureKind::Network,
            Self::Cancelled => FailureKind::Cancelled,
            Self::Io { source, .. } if is_disk_full(source) => FailureKind::Disk,
            Self::NotStarted { .. }
            | Self::Machine { .. }
            | Self::Exists(_)
            | Self::Io { .. }
            | Self::Internal(_) => FailureKind::Internal,
        }
    }

    /// Tells which of several stages it belongs to. What ends a build from outside belongs to none.
    pub(crate) fn in_stage(self, stage: &str) -> Self {
        match self {
            Self::Cancelled => self,
            Self::At {
                error,
                line,
                column,
            } => Self::At {
                error: Box::new(error.in_stage(stage)),
                line,
                column,
            },
            error => Self::Stage {
                stage: stage.to_owned(),
                error: Box::new(error),
            },
        }
    }

    /// For `map_err`: an I/O error with what was being done and to which path.
    pub fn io<P: Into<PathBuf>>(
        action: &'static str,
        path: P,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

fn is_disk_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}
