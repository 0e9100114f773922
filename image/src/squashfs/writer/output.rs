//! How do bytes get to their place in the image?

use std::io::{self, Read, Write};

use super::error::Error;

/// An image's size is a multiple of this: what lies behind the last whole sector of a loop device
/// cannot be read.
pub(crate) const ALIGNMENT: u64 = 4096;

/// A part of an image that is being written.
pub(crate) struct Output<'w, W> {
    out: &'w mut W,
    position: u64,
}

impl<'w, W: Write> Output<'w, W> {
    /// Begins at a place in the image.
    pub(crate) fn at(position: u64, out: &'w mut W) -> Self {
        Self { out, position }
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

    /// Fills the last page with zeros, and says where they end.
    pub(crate) fn pad(&mut self) -> Result<u64, Error> {
        let padding = self.position.next_multiple_of(ALIGNMENT) - self.position;
        io::copy(&mut io::repeat(0).take(padding), self.out).map_err(Error::Write)?;
        self.position += padding;
        Ok(self.position)
    }
}
