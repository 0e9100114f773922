//! A folder with a root file system in it, as `build --sandbox` makes them.

use std::fs::{self, File};
use std::io::{self, BufWriter, PipeWriter, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use crate::engine::Cancel;
use crate::error::{Error, FailureKind};
use crate::inside::Task;
use crate::layer::{self, Ledger, StreamOptions};
use crate::sandbox::{Failure, Namespace, Output, Streams};

const SIGNS_OF_A_SYSTEM: [&str; 4] = [".singularity.d", "bin", "etc", "usr"];

/// Gives what is in the folder to `take`, as a tar archive.
///
/// Owners are those that the files have: seen from the namespace where the folder belongs to one of
/// its users, so that the caller's own files are root's and those that an earlier build gave to
/// other users of the namespace are theirs; a group that the namespace does not have is nobody's. What belongs to the machine's root, or to anybody else
/// outside of the namespace, is read as the caller.
pub(crate) fn read_as_tar(
    namespace: &Namespace,
    (folder, name): (&File, &str),
    cancel: &Cancel,
    take: impl FnOnce(&mut (dyn Read + Send)) -> Result<(), Error>,
) -> Result<(), Error> {
    let metadata = folder.metadata().map_err(Error::io("reading", name))?;
    let is_of_namespace = namespace.has_user(metadata.uid());
    // The folder is open, so this is where it lies, whatever links led to it.
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    let path = fs::read_link(&path).map_err(Error::io("finding", name))?;
    require_system(&path, name)?;
    let (mut archive, writer) = io::pipe().map_err(Error::io("creating", "a pipe"))?;
    let (taken, written) = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            if is_of_namespace {
                stream_inside(namespace, &path, writer.into())
            } else {
                stream_as_caller(&path, writer)
            }
        });
        let taken = take(&mut archive);
        // What is still writing learns that nobody listens any more.
        drop(archive);
        (taken, writing.join())
    });
    let written = written.map_err(|_| Error::Internal("reading a folder panicked".to_owned()))?;
    match (taken, written) {
        _ if cancel.is_cancelled() => Err(Error::Cancelled),
        // An archive that breaks off cannot be a layer, which says less than the reason for it.
        (Err(taken), Err(_)) if taken.kind() != FailureKind::Base => Err(taken),
        (_, Err(written)) => Err(unreadable(name, &written)),
        (taken, Ok(())) => taken,
    }
}

fn stream_inside(namespace: &Namespace, folder: &Path, writer: OwnedFd) -> Result<(), Error> {
    let task = Task::StreamTree {
        latest: None,
        ledger: String::new(),
    };
    let streams = Streams {
        input: None,
        output: Output::File(writer),
    };
    namespace.perform(folder, &task, streams).map(drop)
}

fn stream_as_caller(folder: &Path, writer: PipeWriter) -> Result<(), Error> {
    let writer = BufWriter::with_capacity(256 << 10, writer);
    let options = StreamOptions { latest: None };
    let streamed = layer::stream_tree(folder, &Ledger::default(), writer, options);
    streamed
        .map(drop)
        .map_err(|error| Failure::from(error).into())
}

/// A folder of something else would become an image in which nothing can be run.
fn require_system(folder: &Path, name: &str) -> Result<(), Error> {
    let has = |inside: &str| folder.join(inside).symlink_metadata().is_ok();
    if SIGNS_OF_A_SYSTEM.into_iter().any(has) {
        return Ok(());
    }
    Err(Error::Base {
        message: format!("{name} is a folder without a root file system in it"),
        help: Some(format!(
            "a sandbox has at least one of {}",
            SIGNS_OF_A_SYSTEM.join(", ")
        )),
    })
}

fn unreadable(name: &str, error: &Error) -> Error {
    Error::Base {
        message: format!("{name} cannot be read whole: {error}"),
        help: Some(
            "all files of a base have to be readable for who builds: change their modes, or build \
             as their owner"
                .to_owned(),
        ),
    }
}
