//! Reading that ends when the build is cancelled.

use std::io::{self, Read};

use crate::engine::Cancel;

/// A source that cannot be read on once the build is cancelled.
pub(crate) struct Cancellable<'a, R> {
    source: R,
    cancel: &'a Cancel,
}

impl<'a, R: Read> Cancellable<'a, R> {
    pub(crate) fn new(source: R, cancel: &'a Cancel) -> Self {
        Self { source, cancel }
    }
}

impl<R: Read> Read for Cancellable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("build was cancelled"));
        }
        self.source.read(buffer)
    }
}
