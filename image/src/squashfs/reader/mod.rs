//! How does a squashfs image become a tar stream?
//!
//! The image is squashfs 4.0, little-endian, by any writer:
//!
//! | part | file |
//! |---|---|
//! | superblock, owners, tables | [`superblock`](super::superblock), `image` |
//! | metadata blocks | `metadata`, `codec` |
//! | inodes, folders, extended attributes | `inode`, `directory`, `xattr` |
//! | contents | `data`, `queue` |
//!
//! The archive is read in the thread that asks for it (`walk`), a step at a time, while other
//! threads unpack the blocks ahead of it.
//!
//! # Security
//! The image may be a stranger's. It is read here, not by the kernel: every number in it is checked
//! before it is used, an inode is met as often as it has names, and no more is held in memory than
//! some blocks and the folders that are open, however large the image claims to be.

mod codec;
mod data;
mod directory;
mod image;
mod inode;
mod metadata;
mod queue;
mod seen;
mod source;
mod walk;
mod xattr;

use std::io::{self, Read};

use self::image::Image;
use self::queue::{Chunk, Queue};
use self::walk::Walk;
use super::{Bounds, Part};
use crate::error::Error;

/// How an image stores its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// As `mksquashfs` calls it.
    pub(crate) compressor: &'static str,
    /// Bytes of content that are compressed together.
    pub(crate) block_size: u32,
}

/// Tells how a squashfs stores its files.
pub(crate) fn form(part: Part<'_>) -> Result<Form, Error> {
    let image = Image::open(part)?;
    Ok(Form {
        compressor: image.compressor.name(),
        block_size: image.superblock.block_size,
    })
}

/// Reads a squashfs; `take` gets it as an uncompressed tar archive, root directory included.
pub fn read_as_tar<T>(
    part: Part<'_>,
    bounds: Bounds<'_>,
    take: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut archive = Archive::open(part, bounds)?;
    let taken = take(&mut archive).and_then(|taken| {
        io::copy(&mut archive, &mut io::sink())
            .map(|_| taken)
            .map_err(Error::io("reading", "an image"))
    });
    // An archive that breaks off must not look like one that ends.
    match archive.failure {
        Some(failure) => Err(failure),
        None => taken,
    }
}

/// The archive that an image becomes.
struct Archive {
    walk: Walk,
    queue: Queue,
    current: Chunk,
    /// Why it broke off.
    failure: Option<Error>,
}

impl Archive {
    fn open(part: Part<'_>, bounds: Bounds<'_>) -> Result<Self, Error> {
        let image = Image::open(part)?;
        Ok(Self {
            queue: Queue::start(&image)?,
            walk: Walk::new(image, bounds.limits.disk, bounds.cancel),
            current: Chunk::Zeros(0),
            failure: None,
        })
    }

    fn advance(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            let count = self.current.read(buffer);
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            while !self.queue.is_full() && self.walk.step(&mut self.queue)? {}
            match self.queue.pop()? {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
    }
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failure.is_some() {
            return Err(io::Error::other("image cannot be read on"));
        }
        self.advance(buffer).map_err(|failure| {
            let told = io::Error::other(failure.to_string());
            self.failure = Some(failure);
            told
        })
    }
}
