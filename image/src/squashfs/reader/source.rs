//! Where are the bytes of an image?

use std::fs::File;

use crate::error::Error;
use crate::squashfs::{Part, damaged};

/// The part of a file that is the image.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    offset: u64,
    length: u64,
}

impl Source {
    /// All of the part has to be there.
    pub(super) fn open(part: Part<'_>) -> Result<Self, Error> {
        let end = part.length.checked_sub(1);
        part.read(end.ok_or_else(|| damaged("it is empty"))?, &mut [0])?;
        let file = part.file.try_clone();
        Ok(Self {
            file: file.map_err(Error::io("opening", "an image"))?,
            offset: part.offset,
            length: part.length,
        })
    }

    /// Says how much of the part is the image.
    pub(super) fn limit(&mut self, length: u64) -> Result<(), Error> {
        if length > self.length {
            return Err(damaged(&format!(
                "it is cut off: {} of {length} bytes are there",
                self.length
            )));
        }
        self.length = length;
        Ok(())
    }

    /// Fills the buffer from a place in the image on.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let part = Part {
            file: &self.file,
            offset: self.offset,
            length: self.length,
        };
        part.read(at, buffer)
    }
}
