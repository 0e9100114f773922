//! How is one block unpacked?
//!
//! # Security
//! Nothing unpacks to more than the caller expects, whatever the block says, and no compressor is
//! given more working memory than honest blocks need.

use std::io::Read;

use libdeflater::Decompressor as Deflate;
use lzma_rust2::XzReader;
use zstd::bulk::Decompressor as Zstd;

use crate::error::Error;
use crate::squashfs::format::compressor::{GZIP, LZ4, LZMA, LZO, XZ, ZSTD};
use crate::squashfs::{damaged, unreadable};

/// Dictionaries are no larger than blocks, of which the largest has 1 MiB.
const XZ_MEMORY_KIB: u32 = 4096;

/// How an image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compressor {
    Gzip,
    Xz,
    Lz4,
    Zstd,
}

impl Compressor {
    /// What `mksquashfs` calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The compressor of that number in the superblock.
    pub(super) fn of(number: u16) -> Result<Self, Error> {
        match number {
            GZIP => Ok(Self::Gzip),
            XZ => Ok(Self::Xz),
            LZ4 => Ok(Self::Lz4),
            ZSTD => Ok(Self::Zstd),
            LZO => Err(unreadable("compressed with lzo")),
            LZMA => Err(unreadable("compressed with lzma")),
            other => Err(unreadable(&format!(
                "compressed with the unknown compressor {other}"
            ))),
        }
    }

    /// A decompressor, for one thread.
    pub(super) fn decoder(self) -> Result<Decoder, Error> {
        Ok(match self {
            Self::Gzip => Decoder::Gzip(Deflate::new()),
            Self::Xz => Decoder::Xz,
            Self::Lz4 => Decoder::Lz4,
            Self::Zstd => {
                Decoder::Zstd(Zstd::new().map_err(Error::io("starting to unpack", "an image"))?)
            }
        })
    }
}

/// A decompressor with its working memory.
pub(super) enum Decoder {
    Gzip(Deflate),
    Xz,
    Lz4,
    Zstd(Zstd<'static>),
}

impl Decoder {
    /// What a block holds, which is no more than `most` bytes.
    pub(super) fn unpack(&mut self, stored: &[u8], most: usize) -> Result<Vec<u8>, Error> {
        let mut block = vec![0; most];
        let length = match self {
            Self::Gzip(deflate) => deflate.zlib_decompress(stored, &mut block).ok(),
            Self::Xz => unpack_xz(stored, &mut block),
            Self::Lz4 => lz4_flex::block::decompress_into(stored, &mut block).ok(),
            Self::Zstd(zstd) => zstd.decompress_to_buffer(stored, &mut block[..]).ok(),
        };
        let length = length.ok_or_else(|| damaged("a block of it cannot be unpacked"))?;
        block.truncate(length);
        Ok(block)
    }
}

fn unpack_xz(stored: &[u8], block: &mut [u8]) -> Option<usize> {
    let mut reader = XzReader::new_mem_limit(stored, false, XZ_MEMORY_KIB);
    let mut length = 0;
    while length < block.len() {
        match reader.read(&mut block[length..]).ok()? {
            0 => return Some(length),
            count => length += count,
        }
    }
    // Its checksum stands behind the end.
    let is_at_end = reader.read(&mut [0]).ok()? == 0;
    is_at_end.then_some(length)
}
