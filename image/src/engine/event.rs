//! What is told of a build while it runs.

use crate::definition::Diagnostic;

/// The phases of a build, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `%pre` runs.
    Pre,
    /// The base is fetched and unpacked.
    Base,
    /// `%setup` runs.
    Setup,
    /// `%files` are copied.
    Files,
    /// `%post` runs.
    Post,
    /// What `%setup`, `%files` and `%post` make is taken from the step cache instead.
    Step,
    /// `/.singularity.d` is written.
    Metadata,
    /// `%test` runs.
    Test,
    /// The tree is packed and wrapped.
    Pack,
}

impl Phase {
    /// The phase in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Base => "base",
            Self::Setup => "setup",
            Self::Files => "files",
            Self::Post => "post",
            Self::Step => "step",
            Self::Metadata => "metadata",
            Self::Test => "test",
            Self::Pack => "pack",
        }
    }
}

/// What happens during a build.
#[derive(Debug)]
pub enum Event<'a> {
    /// A phase begins.
    Phase(Phase),
    /// The engine says something: one line without its end.
    Info(&'a str),
    /// The engine warns: one line without its end.
    Warning(&'a str),
    /// Something about the definition that does not stop the build. What does stop it comes with
    /// [`Error::Definition`](crate::Error::Definition).
    Diagnostic(&'a Diagnostic),
    /// A script printed bytes (both streams, in the order they came).
    Output(&'a [u8]),
    /// A download or another long step moved on.
    Progress(Progress<'a>),
}

/// How far a long step is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// What is being done, the same text for all reports of one step.
    pub step: &'a str,
    /// Bytes done.
    pub done: u64,
    /// Bytes to do, when known.
    pub total: Option<u64>,
}
