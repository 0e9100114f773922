//! Where things lie in the file system: its superblock and the tables of its groups.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::error::Error;
use crate::squashfs::Part;
pub(super) use crate::squashfs::damaged;

const MAGIC: u64 = 0xef53;
const SUPERBLOCK: u64 = 1024;

const NEEDS_RECOVERY: u64 = 0x4;
const META_GROUPS: u64 = 0x10;
const WIDE: u64 = 0x80;
/// Kinds in names, extents, protection from a second mount, flexible groups, seeds of checksums,
/// large folders and case folding change nothing for a reader; large attributes and encryption
/// only for files that have them.
const HARMLESS: u64 = 0x2 | 0x40 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x1_0000 | 0x2_0000;
const SPARSE_SUPERBLOCKS: u64 = 0x1;

/// An opened file system.
pub(super) struct Image<'a> {
    part: Part<'a>,
    pub(super) block_size: u64,
    pub(super) block_count: u64,
    inode_count: u32,
    inode_size: u64,
    first_block: u64,
    blocks_per_group: u64,
    inodes_per_group: u32,
    descriptor_size: u64,
    first_meta_group: u64,
    has_sparse_superblocks: bool,
}

/// Whether a superblock lies where it would.
pub(super) fn has_magic(file: &File, offset: u64) -> bool {
    let mut magic = [0; 2];
    let at = offset.saturating_add(SUPERBLOCK + 0x38);
    file.read_exact_at(&mut magic, at).is_ok() && number(&magic, 0, 2) == MAGIC
}

impl<'a> Image<'a> {
    /// Reads the superblock and judges it.
    pub(super) fn open(part: Part<'a>) -> Result<Self, Error> {
        let mut fields = [0; 1024];
        part.read(SUPERBLOCK, &mut fields)?;
        let field = |offset, size| number(&fields, offset, size);
        if field(0x38, 2) != MAGIC {
            return Err(damaged("it has no superblock"));
        }
        let revision = field(0x4c, 4);
        let since_first = |value| if revision > 0 { value } else { 0 };
        let incompatible = since_first(field(0x60, 4));
        check_features(incompatible)?;
        let is_wide = incompatible & WIDE != 0;
        let has_meta_groups = incompatible & META_GROUPS != 0;
        let high = if is_wide { field(0x150, 4) << 32 } else { 0 };
        let image = Self {
            part,
            block_size: 1024 << field(0x18, 4).min(16),
            block_count: field(0x4, 4) | high,
            inode_count: u32::try_from(field(0, 4)).unwrap_or_default(),
            inode_size: if revision > 0 { field(0x58, 2) } else { 128 },
            first_block: field(0x14, 4),
            blocks_per_group: field(0x20, 4),
            inodes_per_group: u32::try_from(field(0x28, 4)).unwrap_or_default(),
            descriptor_size: if is_wide { field(0xfe, 2) } else { 32 },
            first_meta_group: if has_meta_groups {
                field(0x104, 4)
            } else {
                u64::MAX
            },
            has_sparse_superblocks: since_first(field(0x64, 4)) & SPARSE_SUPERBLOCKS != 0,
        };
        image.check()?;
        Ok(image)
    }

    fn check(&self) -> Result<(), Error> {
        let makes_sense = self.block_size <= 64 << 10
            && (128..=self.block_size).contains(&self.inode_size)
            && (32..=self.block_size).contains(&self.descriptor_size)
            && self.first_block <= 1
            && self.blocks_per_group > 0
            && self.inodes_per_group > 0;
        if !makes_sense {
            return Err(damaged("its superblock makes no sense"));
        }
        let size = self.block_count.checked_mul(self.block_size);
        if size.is_none_or(|size| size > self.part.length) {
            return Err(damaged("it is cut off, or larger than its file"));
        }
        Ok(())
    }

    /// Fills the buffer from a block on.
    pub(super) fn read(&self, block: u64, buffer: &mut [u8]) -> Result<(), Error> {
        if block == 0 || block >= self.block_count {
            return Err(damaged("a block lies outside of it"));
        }
        self.read_at(block * self.block_size, buffer)
    }

    /// One block.
    pub(super) fn block(&self, block: u64) -> Result<Vec<u8>, Error> {
        let mut buffer = vec![0; usize::try_from(self.block_size).unwrap_or_default()];
        self.read(block, &mut buffer)?;
        Ok(buffer)
    }

    /// The bytes of an inode.
    pub(super) fn inode(&self, inode: u32) -> Result<Vec<u8>, Error> {
        if inode == 0 || inode > self.inode_count {
            return Err(damaged("a name leads to nothing"));
        }
        let group = u64::from((inode - 1) / self.inodes_per_group);
        let index = u64::from((inode - 1) % self.inodes_per_group);
        let table = self.inode_table(group)?;
        if table == 0 || table >= self.block_count {
            return Err(damaged("a table of inodes lies outside of it"));
        }
        let mut bytes = vec![0; usize::try_from(self.inode_size).unwrap_or_default()];
        self.read_at(
            table * self.block_size + index * self.inode_size,
            &mut bytes,
        )?;
        Ok(bytes)
    }

    fn inode_table(&self, group: u64) -> Result<u64, Error> {
        let per_block = self.block_size / self.descriptor_size;
        let meta_group = group / per_block;
        let block = if meta_group < self.first_meta_group {
            self.first_block + 1 + meta_group
        } else {
            let first = meta_group * per_block;
            self.first_block + first * self.blocks_per_group + u64::from(self.has_superblock(first))
        };
        if block >= self.block_count {
            return Err(damaged("a group lies outside of it"));
        }
        let mut fields = [0; 64];
        let size = usize::try_from(self.descriptor_size.min(64)).unwrap_or_default();
        let offset = block * self.block_size + group % per_block * self.descriptor_size;
        self.read_at(offset, &mut fields[..size])?;
        Ok(number(&fields, 0x8, 4) | number(&fields, 0x28, 4) << 32)
    }

    fn has_superblock(&self, group: u64) -> bool {
        let is_power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        };
        !self.has_sparse_superblocks || group <= 1 || [3, 5, 7].into_iter().any(is_power_of)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.part.read(offset, buffer)
    }
}

fn check_features(incompatible: u64) -> Result<(), Error> {
    if incompatible & NEEDS_RECOVERY != 0 {
        return Err(Error::Base {
            message: "image was not unmounted: what was written last is in its journal alone"
                .to_owned(),
            help: Some("let e2fsck finish it on the machine where it was written".to_owned()),
        });
    }
    match incompatible & !(HARMLESS | META_GROUPS | WIDE) {
        0 => Ok(()),
        unknown => Err(Error::Base {
            message: format!("image has a file system with unknown features ({unknown:#x})"),
            help: Some("images of Singularity 2 have an ext3".to_owned()),
        }),
    }
}

/// A little-endian number of `size` bytes; what is behind the end is zero.
pub(super) fn number(bytes: &[u8], offset: usize, size: usize) -> u64 {
    let field = bytes.get(offset..).unwrap_or_default();
    let field = field.iter().take(size).rev();
    field.fold(0, |number, byte| number << 8 | u64::from(*byte))
}
