//! Why could an image not be written?

use std::io;

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("reading a file")]
    Read(#[source] io::Error),
    /// The image cannot be written.
    #[error("writing the squashfs image")]
    Write(#[source] io::Error),
    /// A file is shorter than it was said to be.
    #[error("a file ends early")]
    Truncated,
    /// A file cannot be in a file system.
    #[error("{path:?}: {problem}")]
    Entry {
        /// Its path; bytes that are not UTF-8 are replaced.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The block size is not one of squashfs.
    #[error("block size is {0}, must be a power of two from 4096 to 1048576")]
    BlockSize(u32),
    /// The compressor does not have this level.
    #[error("compression level of {compressor} is {level}, must be from {lowest} to {highest}")]
    Level {
        /// Name of the compressor.
        compressor: &'static str,
        /// The level asked for.
        level: i32,
        /// The lowest there is.
        lowest: i32,
        /// The highest there is.
        highest: i32,
    },
    /// Files belong to more users and groups than squashfs can count.
    #[error("files belong to more than 65535 different users and groups, squashfs allows no more")]
    TooManyIds,
    /// A table of the image would be larger than its addresses allow.
    #[error("{0} is larger than squashfs allows")]
    TooLarge(&'static str),
    /// A compressing thread is gone.
    #[error("a compressing thread ended early")]
    Thread(#[source] Option<io::Error>),
}

impl Error {
    pub(super) fn entry(path: &[u8], problem: &'static str) -> Self {
        Self::Entry {
            path: String::from_utf8_lossy(path).into_owned(),
            problem,
        }
    }
}
