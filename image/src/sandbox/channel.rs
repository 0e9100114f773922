//! How a program and its helper inside a namespace talk: frames of JSON over a socket.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Bind;
use super::failure::Failure;
use super::script::Job as ScriptJob;
use crate::inside::{Reply, Task};

/// Nothing we say to each other is longer; a longer length means that the stream is broken.
const LONGEST: u32 = 512 << 20;

/// What the helper needs before it has a namespace.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// The folder that the work is about.
    pub(super) folder: PathBuf,
    /// A folder to show at `context` below `folder`.
    pub(super) context: Option<PathBuf>,
    /// Files and folders to show beside it.
    pub(super) binds: Vec<Bind>,
    /// Folders to lay the overlay over that is to be the root file system, the uppermost first;
    /// without any it is a plain folder.
    pub(super) lowers: Option<Vec<PathBuf>>,
    /// The user and the group to become first; only root of the machine can and has to.
    pub(super) outer: Option<(u32, u32)>,
    /// Whether the namespace has one id only.
    pub(super) single: bool,
    /// Whether the helper has no network.
    pub(super) offline: bool,
}

/// What the helper does once it is inside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Job {
    /// One of our own pieces of work.
    Task(Task, Seat),
    /// Somebody's script.
    Script(ScriptJob),
}

/// What a task has as its root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seat {
    /// The folder that the helper began in.
    Folder,
    /// The root file system in the folder of a build.
    Rootfs,
    /// The folder of a build, in which the root file system is an overlay.
    Workspace,
}

/// What the helper says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It has a user namespace without ids; they are to be mapped.
    Unshared,
    /// It is the first process of its namespace and waits for a job.
    Ready,
    /// Something went wrong before or during the job.
    Failed(Failure),
    /// The task is done.
    Done(Reply),
    /// The script ended by itself.
    Exited(i32),
    /// The script was killed, or ended, because of a limit.
    Exceeded(Exceeded),
}

/// A limit that a script reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Exceeded {
    /// Memory of all processes.
    Memory,
    /// Number of processes.
    Processes,
    /// Space that the build takes.
    Disk,
    /// There is no space left at all.
    DiskFull,
}

/// Writes one frame.
pub(super) fn send<T: Serialize>(mut to: impl Write, message: &T) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&json)
}

/// Reads one frame and not a byte more.
pub(super) fn receive<T: DeserializeOwned>(mut from: impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > LONGEST {
        return Err(io::Error::other("frame is too long"));
    }

    let mut json = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut json)?;
    serde_json::from_slice(&json).map_err(io::Error::other)
}
