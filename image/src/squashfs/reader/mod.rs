//! How does a squashfs image become a tar stream?
//!
//! The image is squashfs 4.0, little-endian, by any writer:
//!
//! | part | file |
//! |---|---|
//! | superblock, owners, tables | [`superblock`](super::superblock), `image` |
//! | metadata blocks | `metadata`, `codec` |
//! | inodes, folders, extended attributes | `inode`, `directory`, `xattr` |
//! | contents | `data`, `queue`, `place` |
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
mod place;
mod queue;
mod seen;
mod source;
mod walk;
mod xattr;

use std::io::{self, Read};
use std::sync::mpsc::Sender;

use self::image::Image;
use self::place::Places;
pub(crate) use self::place::{FragmentPlace, Place};
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

/// What a squashfs says of itself before its files are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Number of the compressor.
    pub(crate) compressor: u16,
    /// Bytes of content that are compressed together.
    pub(crate) block_size: u32,
    /// How many bytes it has; all of them are there.
    pub(crate) length: u64,
}

/// Reads what a squashfs says of itself.
pub(crate) fn head(part: Part<'_>) -> Result<Head, Error> {
    let superblock = Image::open(part)?.superblock;
    Ok(Head {
        compressor: superblock.compressor,
        block_size: superblock.block_size,
        length: superblock.bytes_used,
    })
}

/// Reads a squashfs; `take` gets it as an uncompressed tar archive, root directory included.
pub fn read_as_tar<T>(
    part: Part<'_>,
    bounds: Bounds<'_>,
    take: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, Error>,
) -> Result<T, Error> {
    read(part, bounds, None, take)
}

/// The same; besides, it is told where the content of every file of the archive lies, in their order
/// and each before the file itself.
pub(crate) fn read_with_places<T>(
    part: Part<'_>,
    bounds: Bounds<'_>,
    places: Sender<Place>,
    take: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, Error>,
) -> Result<T, Error> {
    read(part, bounds, Some(places), take)
}

fn read<T>(
    part: Part<'_>,
    bounds: Bounds<'_>,
    places: Option<Sender<Place>>,
    take: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut archive = Archive::open(part, bounds, Places::to(places))?;
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
    fn open(part: Part<'_>, bounds: Bounds<'_>, places: Places) -> Result<Self, Error> {
        let image = Image::open(part)?;
        Ok(Self {
            queue: Queue::start(&image)?,
            walk: Walk::new(image, bounds, places),
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
