//! Writes what was found as a tar archive.

use std::io::{self, Write};

use crate::error::Error;
use crate::layer::header::{self, Entry};

/// Why an archive is not complete.
#[derive(Debug)]
pub(super) enum Failure {
    /// The image is not as it should be.
    Image(Error),
    /// Who reads the archive had enough of it.
    NobodyListens,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Image(error)
    }
}

/// An archive that is being written.
pub(super) struct Archive<W> {
    out: W,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out }
    }

    pub(super) fn header(&mut self, entry: &Entry<'_>) -> Result<(), Failure> {
        let header = entry.encode().map_err(Error::io("reading", "an image"))?;
        self.write(&header)
    }

    /// A piece of the content of the last entry.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(nobody_listens)
    }

    /// Fills the last block of a content of that many bytes.
    pub(super) fn pad(&mut self, size: u64) -> Result<(), Failure> {
        self.write(header::padding(size))
    }

    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.write(&header::END)?;
        self.out.flush().map_err(nobody_listens)
    }
}

/// A pipe breaks when its other end is closed, and in no other way.
fn nobody_listens(_: io::Error) -> Failure {
    Failure::NobodyListens
}
