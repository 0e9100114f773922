//! Packs a tree into a squashfs file, and reads one with a program of squashfs-tools-ng.

mod packing;
pub mod writer;

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use tempfile::NamedTempFile;

pub use self::packing::Packing;
use crate::cancellable::Cancellable;
use crate::engine::{Cancel, Limits};
use crate::error::Error;
use crate::inside::Task;
use crate::sandbox::{
    Namespace, Network, Output, ScriptRun, Section, Streams, Workspace, run_script,
};

const PACKAGE: &str = "install the Debian package squashfs-tools-ng";

/// A packed tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackSummary {
    /// Size of the file in bytes, a multiple of 4096.
    pub size: u64,
}

/// What is packed besides the files themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extra<'a> {
    /// No time in the image is later, in seconds since 1970.
    pub latest: Option<i64>,
    /// What the file system could not represent, in JSON lines.
    pub ledger: &'a str,
    /// How it is compressed.
    pub packing: Packing,
}

/// Packs the tree at `rootfs` into a file that must not exist yet. The same tree gives the same
/// bytes.
pub fn pack(
    namespace: &Namespace,
    rootfs: &Path,
    extra: Extra<'_>,
    output: &Path,
    cancel: &Cancel,
) -> Result<PackSummary, Error> {
    let packed = pack_into(namespace, rootfs, extra, output, cancel);
    if packed.is_err() && output.exists() {
        fs::remove_file(output).map_err(Error::io("removing", output))?;
    }
    packed
}

fn pack_into(
    namespace: &Namespace,
    rootfs: &Path,
    extra: Extra<'_>,
    output: &Path,
    cancel: &Cancel,
) -> Result<PackSummary, Error> {
    let mut file = File::create_new(output).map_err(Error::io("creating", output))?;
    let (tree, writer) = io::pipe().map_err(Error::io("creating", "a pipe"))?;
    let task = Task::StreamTree {
        latest: extra.latest,
        ledger: extra.ledger.to_owned(),
    };
    let streams = Streams {
        input: None,
        output: Output::File(OwnedFd::from(writer)),
    };
    let options = extra.packing.options(extra.latest.map(clamp));
    // Files of nothing but holes take no space and have no end.
    let tree = Cancellable::new(tree, cancel);
    let (streamed, written) = thread::scope(|scope| {
        let writing = scope.spawn(|| writer::write_tar(tree, &mut file, &options));
        (namespace.perform(rootfs, &task, streams), writing.join())
    });
    let written = written.map_err(|_| Error::Internal("the packer panicked".to_owned()))?;
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    // A tree that cannot be read breaks off, and only the reader knows why.
    match (streamed, written) {
        (_, Err(writer::Error::Write(source))) => Err(Error::io("writing", output)(source)),
        (Err(error), _) => Err(error),
        (Ok(_), Err(error)) => Err(Error::Internal(format!("packing the tree: {error}"))),
        (Ok(_), Ok(summary)) => Ok(PackSummary { size: summary.size }),
    }
}

/// Squashfs counts the seconds since 1970 in 32 bits.
fn clamp(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// A squashfs in a file.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The file.
    pub file: &'a File,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// What surrounds the reading of an image.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// What it may use.
    pub limits: Limits,
    /// Stops it.
    pub cancel: &'a Cancel,
}

/// Reads a squashfs; `take` gets it as an uncompressed tar archive, root directory included.
///
/// # Security
/// The image may be a stranger's and the program that reads it is large, so it runs in the sandbox
/// and sees the image alone.
pub fn read_as_tar<T>(
    workspace: &Workspace,
    image: Part<'_>,
    bounds: Bounds<'_>,
    take: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, Error>,
) -> Result<T, Error> {
    let copy = copy_for_sandbox(workspace, image)?;
    let run = reader(&copy, bounds);
    let stop = bounds.cancel.part();
    let (mut archive, mut writer) = io::pipe().map_err(Error::io("creating", "a pipe"))?;
    let (taken, ended) = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut pass_on = |bytes: &[u8]| {
                if writer.write_all(bytes).is_err() {
                    stop.cancel();
                }
            };
            let ended = run_script(workspace, &run, &mut pass_on, &stop);
            drop(writer);
            ended
        });
        let taken = take(&mut archive).and_then(|taken| {
            io::copy(&mut archive, &mut io::sink())
                .map(|_| taken)
                .map_err(Error::io("reading", "an image"))
        });
        // What is still reading learns that nobody listens any more.
        drop(archive);
        (taken, reading.join())
    });
    let ended = ended.map_err(|_| Error::Internal("reading an image panicked".to_owned()))?;
    verdict(taken, ended)
}

/// The copy lies in the build's own `/tmp` until it is dropped.
fn copy_for_sandbox(workspace: &Workspace, image: Part<'_>) -> Result<NamedTempFile, Error> {
    let folder = workspace.tmp();
    let mut copy =
        NamedTempFile::new_in(&folder).map_err(Error::io("creating a file in", &folder))?;
    let mut source = image.file;
    let copied = source
        .seek(SeekFrom::Start(image.offset))
        .and_then(|_| io::copy(&mut source.take(image.length), copy.as_file_mut()))
        .map_err(Error::io("copying an image to", copy.path()))?;
    if copied < image.length {
        return Err(damaged(&format!(
            "is cut off: {copied} of {} bytes are there",
            image.length
        )));
    }
    // Root of the sandbox is somebody else when root of the machine builds.
    copy.as_file()
        .set_permissions(Permissions::from_mode(0o644))
        .map_err(Error::io("changing the mode of", copy.path()))?;
    Ok(copy)
}

fn reader(copy: &NamedTempFile, bounds: Bounds) -> ScriptRun<'static> {
    let name = copy.path().file_name().unwrap_or_default();
    // What it complains about must not get into the archive.
    let script = "exec sqfs2tar --root-becomes . \"$0\" 2>/dev/null";
    let path = format!("/tmp/{}", name.to_string_lossy());
    ScriptRun {
        section: Section::Unpack,
        command: ["/bin/sh", "-c", script, &path].map(str::to_owned).to_vec(),
        body: None,
        environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        context: None,
        network: Network::None,
        limits: bounds.limits,
    }
}

/// An archive that breaks off must not look like one that ends.
fn verdict<T>(taken: Result<T, Error>, ended: Result<(), Error>) -> Result<T, Error> {
    const NOT_FOUND: i32 = 127;
    match (taken, ended) {
        (taken, Ok(())) => taken,
        (_, Err(Error::Script { status, .. })) if status == NOT_FOUND => {
            Err(not_installed("sqfs2tar", &io::ErrorKind::NotFound.into()))
        }
        (_, Err(Error::Script { .. })) => Err(damaged("is damaged")),
        (Err(error), Err(Error::Cancelled)) | (_, Err(error)) => Err(error),
    }
}

fn damaged(how: &str) -> Error {
    Error::Base {
        message: format!("image {how}"),
        help: None,
    }
}

fn not_installed(program: &str, error: &io::Error) -> Error {
    Error::Machine {
        message: format!("{program} cannot be run: {error}"),
        help: Some(PACKAGE.to_owned()),
    }
}
