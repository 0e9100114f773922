//! Squashfs: how files are stored in an image, and how they are read again.

pub(crate) mod device;
mod format;
mod packing;
mod pool;
mod reader;
mod superblock;
pub mod writer;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

pub use self::packing::Packing;
pub use self::reader::read_as_tar;
pub(crate) use self::reader::{FragmentPlace, Place, form, head, read_with_places};
use crate::engine::{Cancel, Limits};
use crate::error::Error;

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
