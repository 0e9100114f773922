//! How is one block compressed?

use std::io::Write;

use libdeflater::{CompressionLvl, Compressor as Deflate};
use lz4_flex::block as lz4;
use lzma_rust2::{CheckType, XzOptions, XzWriter};
use zstd::bulk::Compressor as Zstd;

use super::error::Error;
use crate::squashfs::format::compressor;

/// A metadata block is larger than the smallest data block.
const SMALLEST_DICTIONARY: u32 = 8192;

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
    /// Streams of xz: small, and slow to write and to read.
    Xz {
        /// From 0 (fast) to 9 (small).
        level: i32,
    },
    /// Blocks of lz4: large, and the fastest to read. It has no levels.
    Lz4,
}

impl Compression {
    /// The compressor's number in the superblock.
    pub(crate) fn id(self) -> u16 {
        match self {
            Self::Gzip { .. } => compressor::GZIP,
            Self::Zstd { .. } => compressor::ZSTD,
            Self::Xz { .. } => compressor::XZ,
            Self::Lz4 => compressor::LZ4,
        }
    }

    pub(super) fn check(self) -> Result<(), Error> {
        let (compressor, level, levels) = match self {
            Self::Gzip { level } => ("gzip", level, 1..=12),
            Self::Zstd { level } => ("zstd", level, 1..=22),
            Self::Xz { level } => ("xz", level, 0..=9),
            Self::Lz4 => return Ok(()),
        };
        if levels.contains(&level) {
            return Ok(());
        }
        Err(Error::Level {
            compressor,
            level,
            lowest: *levels.start(),
            highest: *levels.end(),
        })
    }

    /// A compressor, for one thread, of blocks that have at most `block_size` bytes.
    pub(super) fn codec(self, block_size: u32) -> Result<Codec, Error> {
        match self {
            Self::Gzip { level } => {
                self.check()?;
                let level = CompressionLvl::new(level).unwrap_or_default();
                Ok(Codec::Gzip(Deflate::new(level)))
            }
            Self::Zstd { level } => Zstd::new(level)
                .map(Codec::Zstd)
                .map_err(|source| Error::Thread(Some(source))),
            Self::Xz { level } => {
                let mut options = XzOptions::with_preset(level.unsigned_abs());
                // Linux checks no other sum, and has a dictionary of the size of a block.
                options.set_check_sum_type(CheckType::Crc32);
                options.lzma_options.dict_size = block_size.max(SMALLEST_DICTIONARY);
                Ok(Codec::Xz(Box::new(options)))
            }
            Self::Lz4 => Ok(Codec::Lz4),
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
    Xz(Box<XzOptions>),
    Lz4,
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
        let most = block.len().checked_sub(1)?;
        let mut compressed = vec![0; most];
        let length = match self {
            Self::Gzip(deflate) => deflate.zlib_compress(block, &mut compressed).ok()?,
            Self::Zstd(zstd) => zstd.compress_to_buffer(block, &mut compressed[..]).ok()?,
            Self::Xz(options) => compress_xz(options, block, &mut compressed)?,
            Self::Lz4 => {
                // It does not begin where the worst case would find no room.
                compressed.resize(lz4::get_maximum_output_size(block.len()), 0);
                lz4::compress_into(block, &mut compressed).ok()?
            }
        };
        compressed.truncate(length);
        (length <= most).then_some(compressed)
    }
}

fn compress_xz(options: &XzOptions, block: &[u8], mut compressed: &mut [u8]) -> Option<usize> {
    let room = compressed.len();
    let mut writer = XzWriter::new(&mut compressed, options.clone()).ok()?;
    writer.write_all(block).ok()?;
    writer.finish().ok()?;
    Some(room - compressed.len())
}
