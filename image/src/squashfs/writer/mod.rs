//! How are files stored in a squashfs image?
//!
//! The image is squashfs 4.0, little-endian, as Linux mounts it. Its parts lie in this order:
//!
//! | part | file | content |
//! |---|---|---|
//! | superblock | [`superblock`](super::superblock) | 96 bytes that say where the rest is |
//! | data blocks, fragment blocks | `data`, `codec` | what regular files hold |
//! | inode table | `inode_table`, `inode` | one record for each inode |
//! | directory table | `directory` | names, and the inodes they lead to |
//! | fragment, export and id table | `tables`, `ids` | shared blocks; inodes by number; owners |
//! | extended attribute table | `xattr` | names and values, each set once |
//!
//! Everything but data lies in metadata blocks (`metadata`). Contents are written while they come,
//! so only names and attributes (`tree`) and a bounded number of blocks are held in memory. The
//! same files and options give the same bytes, whatever the number of threads. Data and tables
//! need not be written together: see [`pack`](crate::pack).

mod codec;
pub(crate) mod data;
mod directory;
mod error;
mod ids;
mod inode;
mod inode_table;
mod metadata;
pub(crate) mod output;
mod path;
pub(crate) mod tables;
pub(crate) mod tree;
pub(crate) mod walk;
pub(crate) mod xattr;

pub use codec::Compression;
pub use error::Error;
pub(crate) use path::{check_name, check_target};

use super::format::BLOCK_SIZES;

/// How an image is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of content that are compressed together: a power of two from 4 KiB to 1 MiB.
    pub block_size: u32,
    /// How everything in the image is compressed.
    pub compression: Compression,
    /// Latest time in the image, in seconds since 1970; later times are set to it and it becomes
    /// the time of the image itself (the rule of `SOURCE_DATE_EPOCH`).
    pub modified: Option<u32>,
    /// How many threads compress; zero means one for each core.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_size: 131_072,
            compression: Compression::Gzip { level: 6 },
            modified: None,
            threads: 0,
        }
    }
}

impl Options {
    /// Whether an image can be written like this.
    pub fn check(&self) -> Result<(), Error> {
        let size = self.block_size;
        if !size.is_power_of_two() || !BLOCK_SIZES.contains(&size) {
            return Err(Error::BlockSize(size));
        }
        self.compression.check()
    }

    /// A compressor, for one thread.
    fn codec(&self) -> Result<codec::Codec, Error> {
        self.compression.codec(self.block_size)
    }
}
