//! Packs a tree into a squashfs file, and reads the tree of one.

mod device;
mod format;
mod packing;
mod pool;
mod reader;
mod superblock;
pub mod writer;

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;

pub use self::packing::Packing;
pub use self::reader::read_as_tar;
use crate::cancellable::Cancellable;
use crate::engine::{Cancel, Limits};
use crate::error::Error;
use crate::inside::Task;
use crate::sandbox::{Namespace, Output, Streams};

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

/// A file system in a file.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The file.
    pub file: &'a File,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

impl Part<'_> {
    /// Fills the buffer from a place in the part on.
    pub(crate) fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let end = at.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(damaged("it is cut off"));
        }
        self.file
            .read_exact_at(buffer, self.offset.saturating_add(at))
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => damaged("it is cut off"),
                _ => Error::io("reading", "an image")(error),
            })
    }
}

/// What surrounds the reading of an image.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// What it may use.
    pub limits: Limits,
    /// Stops it.
    pub cancel: &'a Cancel,
}

/// An image that cannot be read because it is not as it should be.
pub(crate) fn damaged(how: &str) -> Error {
    Error::Base {
        message: format!("image is damaged: {how}"),
        help: None,
    }
}

/// An image of a form that is not read here.
fn unreadable(what: &str) -> Error {
    Error::Base {
        message: format!("image is {what}, which is not read"),
        help: Some(
            "images are squashfs 4.0, compressed with gzip, zstd, xz or lz4; unpack it with \
             unsquashfs and build on the folder"
                .to_owned(),
        ),
    }
}
