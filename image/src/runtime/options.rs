//! What a caller asks for when it runs an image.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use super::bind::Bind;
use crate::sandbox::container::Isolation;

/// What is done in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Its runscript, with arguments.
    Run(Vec<OsString>),
    /// A program of it, with arguments.
    Exec(Vec<OsString>),
    /// A shell; a program to use instead of those it has, and arguments.
    Shell(Option<PathBuf>, Vec<OsString>),
    /// Its test.
    Test(Vec<OsString>),
}

impl Action {
    /// As the environment and the script name it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Exec(_) => "exec",
            Self::Shell(..) => "shell",
            Self::Test(_) => "test",
        }
    }

    pub(super) fn words(&self) -> &[OsString] {
        match self {
            Self::Run(words) | Self::Exec(words) | Self::Shell(_, words) | Self::Test(words) => {
                words
            }
        }
    }
}

/// What of the caller's is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Contain {
    /// Nothing.
    #[default]
    Nothing,
    /// Its files: home and temporary folders are empty, `/dev` has little.
    Files,
    /// Its files, environment and processes.
    All,
}

/// Which home is seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Home {
    /// The caller's.
    #[default]
    Callers,
    /// None.
    Nobodys,
    /// A folder, shown at a path.
    At {
        /// The folder of the machine; the caller's home when it is contained and none is named.
        source: PathBuf,
        /// The path inside.
        target: PathBuf,
    },
}

/// Whether the image can be written to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Writable {
    /// It cannot.
    #[default]
    No,
    /// It seems so: what is written is gone afterwards.
    Memory,
    /// What is written stays in a folder.
    Layer(PathBuf),
    /// The image is a folder, and is changed.
    Image,
}

/// A variable that the caller gives the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether `$` and backquotes in the value have no meaning.
    pub is_literal: bool,
}

/// How an image is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is done.
    pub action: Action,
    /// The app whose turn it is.
    pub app: Option<String>,
    /// What is left out.
    pub contain: Contain,
    /// The home.
    pub home: Home,
    /// Folder for home and temporary folders of a contained run.
    pub workdir: Option<PathBuf>,
    /// What the caller mounts.
    pub binds: Vec<Bind>,
    /// Empty folders for what is gone afterwards.
    pub scratch: Vec<PathBuf>,
    /// What is not mounted: `home`, `tmp`, `cwd`, `proc`, `sys`, `dev`, or a path.
    pub no_mount: BTreeSet<String>,
    /// Whether it can be written to.
    pub writable: Writable,
    /// Whether no overlay is used.
    pub underlay: bool,
    /// Whether the caller's environment is left out.
    pub clean_environment: bool,
    /// Variables that win over the image's, later ones over earlier ones.
    pub variables: Vec<Variable>,
    /// Whether values and the words of a Docker image are taken as they stand.
    pub no_eval: bool,
    /// The folder to start in.
    pub folder: Option<PathBuf>,
    /// What it has of its own.
    pub isolation: Isolation,
}

impl Options {
    /// With nothing but what is done.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            app: None,
            contain: Contain::default(),
            home: Home::default(),
            workdir: None,
            binds: Vec::new(),
            scratch: Vec::new(),
            no_mount: BTreeSet::new(),
            writable: Writable::default(),
            underlay: false,
            clean_environment: false,
            variables: Vec::new(),
            no_eval: false,
            folder: None,
            isolation: Isolation::default(),
        }
    }

    pub(super) fn mounts(&self, what: &str) -> bool {
        !self.no_mount.contains(what)
    }
}
