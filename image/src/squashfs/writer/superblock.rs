//! What stands in the first 96 bytes of an image?

/// Bytes of the superblock.
pub(super) const SIZE: usize = 96;
/// Place of a table that is not there.
pub(super) const ABSENT: u64 = u64::MAX;

const MAGIC: u32 = 0x7371_7368; // "hsqs" in little-endian order
const VERSION: (u16, u16) = (4, 0);
const NO_FRAGMENTS: u16 = 0x0010;
const DUPLICATES_SHARED: u16 = 0x0040;
const EXPORTABLE: u16 = 0x0080;
const NO_ATTRIBUTES: u16 = 0x0200;

/// The superblock; places are relative to the image.
#[derive(Debug)]
pub(super) struct Superblock {
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
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE);
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
        bytes
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
        flags
    }
}
