//! Which numbers and sizes does squashfs 4.0 have?
//!
//! <https://docs.kernel.org/filesystems/squashfs.html>

use std::ops::RangeInclusive;

/// Place of a table that is not there.
pub(super) const ABSENT: u64 = u64::MAX;
/// Bytes of content that may be compressed together; always a power of two.
pub(super) const BLOCK_SIZES: RangeInclusive<u32> = 4096..=1 << 20;
/// Size of a data block that is not compressed.
pub(super) const BLOCK_UNCOMPRESSED: u32 = 1 << 24;
/// Bytes in a metadata block before compression.
pub(super) const METADATA_BLOCK: usize = 8192;
/// Length of a metadata block that is not compressed.
pub(super) const METADATA_UNCOMPRESSED: u16 = 1 << 15;
/// How an inode says that its file ends with its last block.
pub(super) const NO_FRAGMENT: u32 = u32::MAX;
/// How an inode says that it has no attributes.
pub(super) const NO_ATTRIBUTES: u32 = u32::MAX;
/// How much higher the type of an extended inode is than that of the basic one.
pub(super) const EXTENDED: u16 = 7;
/// A folder's size counts `.` and `..`, which are not in its list.
pub(super) const DOTS: u32 = 3;
/// Most entries behind one header of a folder's list.
pub(super) const LONGEST_RUN: u32 = 256;
/// Longest name Linux looks up.
pub(super) const LONGEST_NAME: usize = 255;
/// Longest target Linux follows.
pub(super) const LONGEST_TARGET: usize = 4095;
/// Name spaces of attributes; a key's number is the place in this list.
pub(super) const NAME_SPACES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

/// Numbers of the compressors.
pub(super) mod compressor {
    pub(in crate::squashfs) const GZIP: u16 = 1;
    pub(in crate::squashfs) const LZMA: u16 = 2;
    pub(in crate::squashfs) const LZO: u16 = 3;
    pub(in crate::squashfs) const XZ: u16 = 4;
    pub(in crate::squashfs) const LZ4: u16 = 5;
    pub(in crate::squashfs) const ZSTD: u16 = 6;
}

/// Type of a basic inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory = 1,
    File = 2,
    Symlink = 3,
    Block = 4,
    Character = 5,
    Fifo = 6,
    Socket = 7,
}

/// A place in a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Where the stored metadata block begins, relative to the table.
    pub(super) block: u64,
    /// Byte in the block before compression.
    pub(super) offset: u16,
}

impl Position {
    /// The 48-bit form in which tables refer to each other.
    pub(super) fn reference(self) -> u64 {
        (self.block << 16) | u64::from(self.offset)
    }

    /// The place that a table refers to.
    pub(super) fn of(reference: u64) -> Self {
        let [low, high, ..] = reference.to_le_bytes();
        Self {
            block: reference >> 16,
            offset: u16::from_le_bytes([low, high]),
        }
    }
}

/// A little-endian number of a record; what is behind its end is zero.
pub(super) fn u32_at(record: &[u8], at: usize) -> u32 {
    field(record, at).map_or(0, u32::from_le_bytes)
}

/// A little-endian number of a record; what is behind its end is zero.
pub(super) fn u64_at(record: &[u8], at: usize) -> u64 {
    field(record, at).map_or(0, u64::from_le_bytes)
}

fn field<const SIZE: usize>(record: &[u8], at: usize) -> Option<[u8; SIZE]> {
    record.get(at..)?.first_chunk().copied()
}
