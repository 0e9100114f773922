//! What stands in the first 96 bytes of an image?

use super::format::compressor::LZ4;
use super::format::{ABSENT, BLOCK_SIZES, u32_at, u64_at};
use super::{damaged, unreadable};
use crate::error::Error;

/// Bytes of the superblock.
pub(super) const SIZE: usize = 96;

const MAGIC: u32 = 0x7371_7368; // "hsqs" in little-endian order
const VERSION: (u16, u16) = (4, 0);
const NO_FRAGMENTS: u16 = 0x0010;
const DUPLICATES_SHARED: u16 = 0x0040;
const EXPORTABLE: u16 = 0x0080;
const NO_ATTRIBUTES: u16 = 0x0200;
const OPTIONS: u16 = 0x0400;
/// The options of lz4 as the metadata block behind the superblock, which Linux asks of it: a length
/// with the mark of what is not compressed, version 1 of its blocks, and no flags.
const LZ4_OPTIONS: [u8; 10] = [8, 0x80, 1, 0, 0, 0, 0, 0, 0, 0];
/// What numbers every inode can have a note of, however many an image claims to have.
const MOST_INODES: u32 = 1 << 28;

/// The superblock; places are relative to the image.
#[derive(Debug)]
pub(crate) struct Superblock {
    pub(super) inodes: u32,
    pub(super) modified: u32,
    pub(super) block_size: u32,
    pub(super) fragments: u32,
    pub(super) compressor: u16,
    pub(super) ids: u16,
    pub(super) root: u64,
    pub(super) bytes_used: u64,
    pub(super) id_table: u64,
    pub(super) attribute_table: u64,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
    pub(super) export_table: u64,
}

impl Superblock {
    /// Its bytes, and those of the compressor's options if it has any.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE + LZ4_OPTIONS.len());
        for number in [
            MAGIC,
            self.inodes,
            self.modified,
            self.block_size,
            self.fragments,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.compressor, self.block_log(), self.flags(), self.ids] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&VERSION.0.to_le_bytes());
        bytes.extend_from_slice(&VERSION.1.to_le_bytes());
        for number in [
            self.root,
            self.bytes_used,
            self.id_table,
            self.attribute_table,
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        if self.compressor == LZ4 {
            bytes.extend_from_slice(&LZ4_OPTIONS);
        }
        bytes
    }

    /// Reads a superblock and judges it.
    pub(super) fn decode(bytes: &[u8; SIZE]) -> Result<Self, Error> {
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let int = |at| u32_at(bytes, at);
        let long = |at| u64_at(bytes, at);
        check_format(int(0), (short(28), short(30)))?;
        let superblock = Self {
            inodes: int(4),
            modified: int(8),
            block_size: int(12),
            fragments: int(16),
            compressor: short(20),
            ids: short(26),
            root: long(32),
            bytes_used: long(40),
            id_table: long(48),
            attribute_table: long(56),
            inode_table: long(64),
            directory_table: long(72),
            fragment_table: long(80),
            export_table: long(88),
        };
        superblock.check(short(22))?;
        Ok(superblock)
    }

    fn check(&self, block_log: u16) -> Result<(), Error> {
        if !self.block_size.is_power_of_two()
            || !BLOCK_SIZES.contains(&self.block_size)
            || self.block_log() != block_log
        {
            return Err(damaged("its block size is none of squashfs"));
        }
        let is_inside = |table: u64| table >= SIZE as u64 && table <= self.bytes_used;
        let is_inside_or_absent = |table: u64| table == ABSENT || is_inside(table);
        let makes_sense = is_inside(self.inode_table)
            && is_inside(self.directory_table)
            && self.inode_table < self.directory_table
            && is_inside(self.id_table)
            && is_inside_or_absent(self.attribute_table)
            && (self.fragments == 0 || is_inside(self.fragment_table))
            && self.inodes > 0
            && self.ids > 0;
        if !makes_sense {
            return Err(damaged("its superblock makes no sense"));
        }
        if self.inodes > MOST_INODES {
            return Err(damaged(
                "it claims to have more files than an image can have",
            ));
        }
        Ok(())
    }

    fn block_log(&self) -> u16 {
        u16::try_from(self.block_size.trailing_zeros()).unwrap_or(0)
    }

    fn flags(&self) -> u16 {
        let mut flags = DUPLICATES_SHARED | EXPORTABLE;
        if self.fragments == 0 {
            flags |= NO_FRAGMENTS;
        }
        if self.attribute_table == ABSENT {
            flags |= NO_ATTRIBUTES;
        }
        if self.compressor == LZ4 {
            flags |= OPTIONS;
        }
        flags
    }
}

fn check_format(magic: u32, version: (u16, u16)) -> Result<(), Error> {
    if magic == MAGIC.swap_bytes() {
        return Err(unreadable("a squashfs of a big-endian machine"));
    }
    if magic != MAGIC {
        return Err(damaged("it has no superblock"));
    }
    if version != VERSION {
        let (major, minor) = version;
        return Err(unreadable(&format!("a squashfs {major}.{minor}")));
    }
    Ok(())
}
