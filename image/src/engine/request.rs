//! What the engine is asked for, and how it is stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::parts::Parts;
use crate::definition;
use secrecy::SecretString;
use url::Url;

use crate::oci::{Credentials, Platform, Registries};
use crate::sandbox::{Bind, Identity, Network};
use crate::squashfs::Packing;

/// Variables that scripts see as the caller has them: the terminal and the way to the network.
const PASSED_ON: [&str; 11] = [
    "TERM",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "ftp_proxy",
    "FTP_PROXY",
];
/// Packages that scripts install get old.
const STEP_AGE: Duration = Duration::from_hours(24);

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where and how the engine works; the same for all its builds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of downloaded layers and other things worth keeping; shared between processes.
    pub cache: PathBuf,
    /// Folder in which builds have their temporary trees.
    pub scratch: PathBuf,
    /// Mirrors and plain-http hosts.
    pub registries: Registries,
    /// Where images come from that are in no registry, and whose signatures count.
    pub sources: Sources,
    /// Which ids the root of the sandbox has.
    pub identity: Identity,
    /// What scripts reach.
    pub network: Network,
    /// Variables of the caller. Scripts see the terminal's and the proxies'; nothing else of it.
    pub environment: BTreeMap<String, String>,
    /// What root file systems lie in while they are built.
    pub roots: Roots,
}

/// What root file systems lie in while they are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Roots {
    /// An overlay of unpacked bases, which are kept in the cache; a folder where that does not work.
    #[default]
    Overlays,
    /// A folder of their own, into which the base is unpacked each time.
    Folders,
}

/// Where images come from that are in no registry, and whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Host of the Singularity Hub that `shub` asks when a header names none.
    pub hub: Option<String>,
    /// Address of the container library that `library` asks when a header names none.
    pub library: Option<String>,
    /// A token for that library, and for no other.
    pub library_token: Option<SecretString>,
    /// Hubs at which the user is logged in, each with a token for it alone.
    pub hub_tokens: Vec<(Url, SecretString)>,
    /// Files of public PGP keys; missing ones are passed over.
    pub keyrings: Vec<PathBuf>,
    /// Addresses of keyservers, in the order in which they are asked for keys in none of the files.
    pub keyservers: Vec<String>,
}

impl Sources {
    /// What is shown at an address: the token of a login at the very hub that it is of.
    pub(crate) fn token_for(&self, url: &Url) -> Option<&SecretString> {
        let mut hubs = self.hub_tokens.iter();
        let hub = hubs.find(|(hub, _)| hub.origin() == url.origin());
        hub.map(|(_, token)| token)
    }
}

/// One image to build.
#[derive(Debug)]
pub struct Request {
    /// The definition's text.
    pub definition: Vec<u8>,
    /// How it is read: its build arguments, and how strictly.
    pub definition_options: definition::Options,
    /// Its name in messages, usually its path.
    pub name: String,
    /// Where `%files` and `localimage` find their sources.
    pub context: Context,
    /// What is made, and where.
    pub output: Output,
    /// Whether what exists already at the output's place is replaced.
    pub overwrite: bool,
    /// Which sections of the definition count; the others are as if they were not there.
    pub parts: Parts,
    /// Whether and how `%test` is run.
    pub test: Test,
    /// Files and folders of the machine that `%post` and `%test` see.
    pub binds: Vec<Bind>,
    /// What becomes of files of the base that their owner may not read.
    pub permissions: Permissions,
    /// How long what scripts and files made of a base counts for later builds; without, they are
    /// run and copied each time, and nothing of them is kept.
    pub step_age: Option<Duration>,
    /// How the tree is compressed.
    pub packing: Packing,
    /// Limits on the scripts.
    pub limits: Limits,
    /// Accounts for registries, besides those in the definition's header.
    pub credentials: Credentials,
    /// Files of accounts in the form of Docker's `config.json`; missing ones are passed over.
    pub account_files: Vec<PathBuf>,
    /// The machine that the image is for; this one if there is none.
    pub platform: Option<Platform>,
    /// Address of the Docker engine (`unix:///PATH`, `tcp://HOST:PORT`) that `docker-daemon` asks.
    /// Strangers' definitions have none: its images are not theirs.
    pub docker_engine: Option<String>,
    /// Time of everything that has a time, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
}

impl Request {
    /// Asks for a whole definition to be built, without limits and with no account.
    pub fn new(name: &str, definition: Vec<u8>, context: Context, output: Output) -> Self {
        Self {
            definition,
            definition_options: definition::Options::default(),
            name: name.to_owned(),
            context,
            output,
            overwrite: false,
            parts: Parts::default(),
            test: Test::default(),
            binds: Vec::new(),
            permissions: Permissions::default(),
            step_age: Some(STEP_AGE),
            packing: Packing::default(),
            limits: Limits::default(),
            credentials: Credentials::default(),
            account_files: Vec::new(),
            platform: None,
            docker_engine: None,
            epoch: None,
        }
    }
}

/// What a build makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An image file.
    Sif(PathBuf),
    /// A folder that holds the image's files, for the caller to use and to remove.
    Sandbox(PathBuf),
    /// Such a folder, which exists: it takes the place of the base that the header names.
    Update(PathBuf),
    /// An image with an ext3 or a folder, which exists: what is in it stays. The base is put over
    /// it unless it has one and nothing may be overwritten.
    Writable(PathBuf),
}

impl Output {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        match self {
            Self::Sif(path) | Self::Sandbox(path) | Self::Update(path) | Self::Writable(path) => {
                path
            }
        }
    }
}

/// Whether and how `%test` is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Test {
    /// The image cannot be written to, as when it is used.
    #[default]
    ReadOnly,
    /// What the test writes is thrown away.
    Writable,
    /// The test is kept in the image and not run.
    Skip,
}

/// What becomes of files of the base that their owner may not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Permissions {
    /// They are as they came.
    #[default]
    Keep,
    /// The owner may read and write all files, and enter all folders.
    Fix,
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
pub struct Cancel {
    asked: Arc<AtomicBool>,
    /// What this is a part of; it stops with it.
    whole: Option<Arc<Cancel>>,
}

impl Cancel {
    /// Asks the build to stop; its scripts are killed.
    pub fn cancel(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        let whole = self.whole.as_ref();
        self.asked.load(Ordering::Relaxed) || whole.is_some_and(|whole| whole.is_cancelled())
    }

    /// Stops a part of the work alone, and also stops when this does.
    pub(crate) fn part(&self) -> Self {
        Self {
            asked: Arc::default(),
            whole: Some(Arc::new(self.clone())),
        }
    }
}

/// The environment that every script starts with.
pub(super) fn clean_environment(settings: &Settings) -> Vec<(String, String)> {
    let fixed = [("PATH", PATH), ("HOME", "/root"), ("LANG", "C")];
    let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let passed_on = passed_on(&settings.environment);
    fixed.into_iter().chain(passed_on).collect()
}

/// The caller's variables that scripts see.
pub(crate) fn passed_on(environment: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let known = |name: &str| Some((name.to_owned(), environment.get(name)?.clone()));
    PASSED_ON.into_iter().filter_map(known).collect()
}
