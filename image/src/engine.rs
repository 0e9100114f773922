//! The build as one line: parse → base → setup → files → post → metadata → test → pack → SIF.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::oci::{Credentials, Registries};
use crate::sandbox::{Identity, Network};

/// Where and how the engine works; the same for all its builds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of downloaded layers and other things worth keeping; shared between processes.
    pub cache: PathBuf,
    /// Folder in which builds have their temporary trees.
    pub scratch: PathBuf,
    /// Mirrors and plain-http hosts.
    pub registries: Registries,
    /// Which ids the root of the sandbox has.
    pub identity: Identity,
    /// What scripts reach.
    pub network: Network,
}

/// Builds images.
#[derive(Debug, Clone)]
pub struct Engine {
    settings: Settings,
}

/// One image to build.
#[derive(Debug)]
pub struct Request {
    /// The definition's text.
    pub definition: Vec<u8>,
    /// Its name in messages, usually its path.
    pub name: String,
    /// Where `%files` and `localimage` find their sources.
    pub context: Context,
    /// The image to make.
    pub output: PathBuf,
    /// Whether an existing image is overwritten.
    pub overwrite: bool,
    /// Whether `%test` is run.
    pub test: bool,
    /// Limits on the scripts.
    pub limits: Limits,
    /// Accounts for registries, besides those in the definition's header.
    pub credentials: Credentials,
    /// Time of everything that has a time, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
}

/// Where sources of a definition come from.
#[derive(Debug, Clone)]
pub enum Context {
    /// Any file the caller may read; relative paths start at `folder`.
    Anywhere {
        /// Where relative paths start.
        folder: PathBuf,
    },
    /// Only files below `root`, symbolic links included: for strangers' definitions.
    Confined {
        /// The folder that nothing may leave; absolute paths start here.
        root: PathBuf,
        /// Where relative paths start first, below `root`; then they start at `root`.
        folder: PathBuf,
    },
}

/// Limits on what a definition's scripts may use. `None` means no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Wall-clock time of the whole build.
    pub time: Option<Duration>,
    /// Memory of all processes of a script, in bytes.
    pub memory: Option<u64>,
    /// Processes and threads at the same time.
    pub processes: Option<u64>,
    /// Disk that the build may fill, in bytes.
    pub disk: Option<u64>,
}

/// Stops a build from another thread.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the build to stop; its scripts are killed.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The phases of a build, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The base is fetched and unpacked.
    Base,
    /// `%setup` runs.
    Setup,
    /// `%files` are copied.
    Files,
    /// `%post` runs.
    Post,
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
            Self::Base => "base",
            Self::Setup => "setup",
            Self::Files => "files",
            Self::Post => "post",
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

/// An image that was built.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// MD5 of the file.
    pub md5: [u8; 16],
    /// What `inspect` tells of it.
    pub facts: Facts,
}

/// What `inspect` tells of an image.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Architecture in Go's spelling.
    pub architecture: String,
    /// The definition with its secrets redacted.
    pub definition: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Environment scripts by path.
    pub environment: BTreeMap<String, String>,
    /// The runscript.
    pub runscript: Option<String>,
    /// The startscript.
    pub startscript: Option<String>,
    /// The test.
    pub test: Option<String>,
    /// The help text.
    pub help: Option<String>,
    /// The base: full reference, and the digest of its manifest where it has one.
    pub base: Option<(String, Option<String>)>,
}

impl Engine {
    /// Makes an engine; its folders are made when they are needed.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
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
        let _ = (&self.settings, request, events, cancel);
        Err(Error::Internal("the engine is not assembled yet".to_owned()))
    }
}
