//! The states of a build and the reasons one can fail for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a build stands: `queued → running → succeeded | failed | cancelled`.
///
/// A build whose lease expires goes from running back to queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuildState {
    /// Waits for a worker.
    Queued,
    /// Leased to a worker.
    Running,
    /// Its image is published.
    Succeeded,
    /// Ended without an image; a [`Failure`] says why.
    Failed,
    /// Stopped by a person, or superseded by a newer push while queued.
    Cancelled,
}

impl BuildState {
    /// Whether the build will not change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The state as it is written in JSON, in the database and on pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What kind of thing went wrong, as the user sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The definition file is wrong; the failure has a line and a column.
    Recipe,
    /// A script of the recipe ended with a status other than zero; the failure names its section.
    Script,
    /// The base image could not be had: not there, not allowed, or not an image.
    Base,
    /// The time limit was reached.
    Time,
    /// The memory limit was reached.
    Memory,
    /// The limit on processes was reached.
    Processes,
    /// The disk limit was reached or the disk is full.
    Disk,
    /// A host could not be reached.
    Network,
    /// Somebody cancelled the build, or a newer push superseded it.
    Cancelled,
    /// The worker vanished as often as a build may be attempted.
    WorkerLost,
    /// Nothing the user did: the machine or Cooperage itself.
    Internal,
}

impl FailureKind {
    /// The kind as it is written in JSON, in the database and on pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recipe => "recipe",
            Self::Script => "script",
            Self::Base => "base",
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Disk => "disk",
            Self::Network => "network",
            Self::Cancelled => "cancelled",
            Self::WorkerLost => "worker-lost",
            Self::Internal => "internal",
        }
    }
}

/// Why a build ended without an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// What kind of thing went wrong.
    pub kind: FailureKind,
    /// What went wrong, in one sentence for the user.
    pub message: String,
    /// What would be right, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The section concerned, with its percent sign (`%post`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Exit status of the script, 0 to 255; 128 + n for signal n.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// Line of the definition file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column of the definition file in characters, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

impl Failure {
    /// A failure of which only kind and message are known.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            help: None,
            section: None,
            status: None,
            line: None,
            column: None,
        }
    }
}
