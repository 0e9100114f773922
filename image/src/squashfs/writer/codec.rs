//! How is one block compressed?

use libdeflater::{CompressionLvl, Compressor as Deflate};
use zstd::bulk::Compressor as Zstd;

use super::error::Error;
use crate::squashfs::format::compressor;

/// How everything in an image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zlib streams, which every kernel with squashfs reads.
    Gzip {
        /// From 1 (fast) to 12 (small).
        level: i32,
    },
    /// Zstandard frames, read by Linux 4.14 and later.
    Zstd {
        /// From 1 (fast) to 22 (small).
        level: i32,
    },
}

impl Compression {
    /// The compressor's number in the superblock.
    pub(crate) fn id(self) -> u16 {
        match self {
            Self::Gzip { .. } => compressor::GZIP,
            Self::Zstd { .. } => compressor::ZSTD,
        }
    }

    pub(super) fn check(self) -> Result<(), Error> {
        let (compressor, level, highest) = match self {
            Self::Gzip { level } => ("gzip", level, 12),
            Self::Zstd { level } => ("zstd", level, 22),
        };
        if (1..=highest).contains(&level) {
            return Ok(());
        }
        Err(Error::Level {
            compressor,
            level,
            lowest: 1,
            highest,
        })
    }

    /// A compressor, for one thread.
    pub(super) fn codec(self) -> Result<Codec, Error> {
        match self {
            Self::Gzip { level } => {
                self.check()?;
                let level = CompressionLvl::new(level).unwrap_or_default();
                Ok(Codec::Gzip(Deflate::new(level)))
            }
            Self::Zstd { level } => Zstd::new(level)
                .map(Codec::Zstd)
                .map_err(|source| Error::Thread(Some(source))),
        }
    }
}

/// A block as it is stored.
pub(super) struct Stored {
    pub(super) bytes: Vec<u8>,
    pub(super) is_compressed: bool,
}

/// A compressor with its working memory.
pub(super) enum Codec {
    Gzip(Deflate),
    Zstd(Zstd<'static>),
}

impl Codec {
    /// A block as it is stored.
    pub(super) fn store(&mut self, block: Vec<u8>) -> Stored {
        match self.compress(&block) {
            Some(bytes) => Stored {
                bytes,
                is_compressed: true,
            },
            None => Stored {
                bytes: block,
                is_compressed: false,
            },
        }
    }

    /// The compressed form, or nothing when it is not smaller.
    pub(super) fn compress(&mut self, block: &[u8]) -> Option<Vec<u8>> {
        let mut compressed = vec![0; block.len().checked_sub(1)?];
        let length = match self {
            Self::Gzip(deflate) => deflate.zlib_compress(block, &mut compressed).ok()?,
            Self::Zstd(zstd) => zstd.compress_to_buffer(block, &mut compressed[..]).ok()?,
        };
        compressed.truncate(length);
        Some(compressed)
    }
}
