//! Our own work on a root file system, done inside a namespace with that tree as the root
//! directory: no path in it leads out.
//!
//! A further task is one variant of [`Task`] and one arm in [`perform`]. Its bulk input is the
//! control socket up to its end, its bulk output standard output.

mod copy;
mod layer;
mod loan;
mod overlay;
mod permissions;
mod remove;
mod stage;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use copy::CopyTarget;
pub use loan::Loan;
pub(crate) use overlay::{PROBE, PROBE_ATTRIBUTE};
pub use stage::FoundFile;

use crate::layer::{Needs, Options};
use crate::metadata::{self, AppOfStage, BaseKind, InspectFacts, MetadataOfStage, OciConfig};
use crate::sandbox::Failure;

/// A piece of work on a root file system.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// Copies files like `cp -fLr`. The input is a tar archive whose names begin with the index
    /// of their target.
    CopyFiles(Vec<CopyTarget>),
    /// Puts files into the tree for a while.
    Lend(Vec<Loan>),
    /// Puts back what was there before.
    TakeBack(Vec<Loan>),
    /// Puts a layer over the tree. The input is a tar archive, compressed or not.
    ApplyLayer {
        /// Digest (`sha256:…`) of the uncompressed layer, to be verified.
        diff_id: Option<String>,
        /// What the file system could not represent of earlier layers, in JSON lines.
        ledger: String,
        /// How many bytes it may take on disk.
        most_bytes: Option<u64>,
    },
    /// Puts a tree into an empty folder. The input is a tar archive.
    PutTree,
    /// Finds what words of `%files` stand for in the tree.
    FindFiles(Vec<String>),
    /// Writes files and folders as a tar archive in which an entry's name begins with the place of
    /// its path among them.
    StreamFiles {
        /// Their paths, from the root directory.
        paths: Vec<PathBuf>,
        /// What the file system could not represent, in JSON lines.
        ledger: String,
    },
    /// Puts such an archive, the input, into the tree.
    PutFiles {
        /// Where each path goes.
        targets: Vec<CopyTarget>,
        /// What the file system could not represent of the tree, in JSON lines.
        ledger: String,
        /// How many bytes they may take on disk.
        most_bytes: Option<u64>,
    },
    /// Gives the tree the folders, scripts and links that runtimes expect.
    InstallBase(BaseKind),
    /// Writes what the configuration of a Docker or OCI image says.
    InstallConfig {
        /// The configuration.
        config: Box<OciConfig>,
        /// Whether its `CMD` is preferred over its `ENTRYPOINT`.
        include_cmd: bool,
    },
    /// Makes the folders and files of apps.
    InstallApps(Vec<AppOfStage>),
    /// Writes what the definition says of the image.
    InstallStage(Box<MetadataOfStage>),
    /// Writes the tree as a tar archive, sorted by name.
    StreamTree {
        /// No time is later, in seconds since 1970.
        latest: Option<i64>,
        /// What the file system could not represent, in JSON lines.
        ledger: String,
    },
    /// Writes what was changed in a tree that is an overlay, as a layer.
    StreamChanges {
        /// No time is later, in seconds since 1970.
        latest: Option<i64>,
        /// What the file system could not represent, in JSON lines.
        ledger: String,
    },
    /// Finds out whether an overlay works, in one that has a file below.
    TryOverlay,
    /// Does several tasks, one after the other; the last one has a say.
    Several(Vec<Task>),
    /// Tells what the tree needs of a file system; the output is what would have to be corrected
    /// in a copy of it, a [`Correction`](crate::layer::Correction) in JSON on each line.
    Survey {
        /// What the file system could not represent, in JSON lines.
        ledger: String,
    },
    /// Lets the owner read and write all files, and enter all folders.
    FixPermissions,
    /// Removes a file, if there is one.
    RemoveFile(PathBuf),
    /// Removes everything below the root directory.
    RemoveTree,
    /// Removes everything below some folders, where there are such.
    RemoveTrees(Vec<PathBuf>),
}

impl Task {
    /// Whether it has to see the folders of an overlay besides the overlay. It then has the folder
    /// of the build as its root directory, and follows no link.
    pub(crate) fn looks_below(&self) -> bool {
        matches!(self, Self::StreamChanges { .. })
    }
}

/// What a task has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// That it is done.
    Done,
    /// What was lent, for [`Task::TakeBack`].
    Lent(Vec<Loan>),
    /// What each word stands for; nothing where there is no such file.
    Found(Vec<Vec<FoundFile>>),
    /// A layer, or files, were put into the tree.
    Applied {
        /// What the file system could not represent, in JSON lines.
        ledger: String,
        /// Bytes that it took on disk, about.
        bytes: u64,
    },
    /// What the tree needs.
    Surveyed(Needs),
    /// What the image tells of itself.
    Facts(Box<InspectFacts>),
}

/// Does a task; the root directory is the tree, or has it.
pub(crate) fn perform(task: Task, input: &UnixStream) -> Result<Reply, Failure> {
    let root = Path::new("/");
    match task {
        Task::CopyFiles(targets) => copy::copy_files(&targets, BufReader::new(input))?,
        Task::Lend(loans) => return loan::lend(loans).map(Reply::Lent),
        Task::TakeBack(loans) => loan::take_back(&loans)?,
        Task::ApplyLayer {
            diff_id,
            ledger,
            most_bytes,
        } => {
            let options = Options {
                diff_id,
                most_bytes,
            };
            return layer::apply(&options, &ledger, input);
        }
        Task::PutTree => layer::put_tree(input)?,
        Task::FindFiles(words) => return stage::find(&words).map(Reply::Found),
        Task::StreamFiles { paths, ledger } => stage::stream(&paths, &ledger, output()?)?,
        Task::PutFiles {
            targets,
            ledger,
            most_bytes,
        } => return stage::put(&targets, &ledger, most_bytes, input),
        Task::StreamTree { latest, ledger } => layer::stream(latest, &ledger, output()?)?,
        Task::StreamChanges { latest, ledger } => {
            layer::stream_changes(latest, &ledger, output()?)?;
        }
        Task::TryOverlay => overlay::try_out()?,
        Task::Several(tasks) => {
            let mut reply = Reply::Done;
            for task in tasks {
                reply = perform(task, input)?;
            }
            return Ok(reply);
        }
        Task::InstallBase(kind) => metadata::install_base(root, kind)?,
        Task::InstallConfig {
            config,
            include_cmd,
        } => {
            metadata::install_oci_config(root, &config, include_cmd)?;
        }
        Task::InstallApps(apps) => metadata::install_apps(root, &apps)?,
        Task::InstallStage(stage) => {
            return Ok(Reply::Facts(Box::new(metadata::install_stage(
                root, &stage,
            )?)));
        }
        Task::Survey { ledger } => {
            return layer::survey(&ledger, output()?).map(Reply::Surveyed);
        }
        Task::FixPermissions => permissions::fix(root)?,
        Task::RemoveFile(path) => remove::remove(&path, false)?,
        Task::RemoveTree => remove::remove_below(root)?,
        Task::RemoveTrees(folders) => remove::remove_all_below(&folders)?,
    }
    Ok(Reply::Done)
}

fn output() -> Result<impl Write, Failure> {
    let file = io::stdout().as_fd().try_clone_to_owned();
    let file = file.map_err(Failure::io("copying", "standard output"))?;
    Ok(BufWriter::with_capacity(256 << 10, File::from(file)))
}
