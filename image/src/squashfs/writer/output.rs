//! How do bytes get to their place in the image?

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::error::Error;
use crate::squashfs::superblock::{self, Superblock};

/// An image's size is a multiple of this: what lies behind the last whole sector of a loop device
/// cannot be read.
const ALIGNMENT: u64 = 4096;

/// An image that is being written.
pub(super) struct Output<'w, W> {
    out: &'w mut W,
    base: u64,
    position: u64,
}

impl<'w, W: Write + Seek> Output<'w, W> {
    /// Begins an image where `out` stands, leaving room for the superblock.
    pub(super) fn start(out: &'w mut W) -> Result<Self, Error> {
        let base = out.stream_position().map_err(Error::Write)?;
        let mut output = Self {
            out,
            base,
            position: 0,
        };
        output.append(&[0; superblock::SIZE])?;
        Ok(output)
    }

    /// Where the next byte will be, relative to the image.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Writes bytes and says where they begin.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<u64, Error> {
        let start = self.position;
        self.out.write_all(bytes).map_err(Error::Write)?;
        self.position += bytes.len() as u64;
        Ok(start)
    }

    /// Pads the image, writes the superblock and gives the size of the image.
    pub(super) fn finish(mut self, superblock: &Superblock) -> Result<u64, Error> {
        let padding = self.position.next_multiple_of(ALIGNMENT) - self.position;
        io::copy(&mut io::repeat(0).take(padding), self.out).map_err(Error::Write)?;
        self.position += padding;

        let end = self.base + self.position;
        self.out
            .seek(SeekFrom::Start(self.base))
            .map_err(Error::Write)?;
        self.out
            .write_all(&superblock.encode())
            .map_err(Error::Write)?;
        self.out.seek(SeekFrom::Start(end)).map_err(Error::Write)?;
        self.out.flush().map_err(Error::Write)?;
        Ok(self.position)
    }
}
