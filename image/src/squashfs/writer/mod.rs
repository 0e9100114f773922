//! How does a tar stream become a squashfs image?
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
//! Everything but data lies in metadata blocks (`metadata`). Contents are written while the tar
//! stream is read, so only names and attributes (`tree`) and a bounded number of blocks are held
//! in memory. The same stream and options give the same bytes, whatever the number of threads.

mod archive;
mod codec;
mod data;
mod directory;
mod error;
mod ids;
mod inode;
mod inode_table;
mod metadata;
mod output;
mod path;
mod pax;
mod tables;
mod tree;
mod walk;
mod xattr;

use std::collections::BTreeSet;
use std::io::{Read, Seek, Write};

use archive::{Archive, Entry, EntryKind};
pub use codec::Compression;
use data::DataWriter;
pub use error::Error;
use output::Output;
use tree::{Attributes, Content, Tree};
use xattr::AttributeSets;

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
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Number of inodes.
    pub inodes: u32,
    /// Bytes of the file system without its padding.
    pub bytes_used: u64,
    /// Bytes written in all, a multiple of 4096.
    pub size: u64,
    /// Extended attributes that squashfs cannot hold (such as `system.posix_acl_access`).
    pub skipped_attributes: BTreeSet<String>,
}

/// Writes the files of a tar stream as a squashfs image, from the current position of `out` on.
///
/// The stream may be in the pax, GNU or old format. Parent folders that it does not mention belong
/// to root with mode 0755; of two entries with one path the later counts. On return `out` stands
/// behind the image.
pub fn write_tar(
    tar: impl Read,
    out: &mut (impl Write + Seek),
    options: &Options,
) -> Result<Summary, Error> {
    options.check()?;
    let mut output = Output::start(out)?;

    let mut attribute_sets = AttributeSets::default();
    let mut data = DataWriter::start(&mut output, options)?;
    let tree = read_tree(tar, &mut data, &mut attribute_sets, options)?;
    let contents = data.finish()?;

    let image = tables::Image {
        tree: &tree,
        contents: &contents,
        attributes: &attribute_sets,
    };
    let superblock = tables::write(&mut output, &image, options)?;
    let size = output.finish(&superblock)?;

    Ok(Summary {
        inodes: superblock.inodes,
        bytes_used: superblock.bytes_used,
        size,
        skipped_attributes: attribute_sets.into_skipped(),
    })
}

/// Reads the whole stream: contents go to `data`, names and attributes into the tree.
fn read_tree<W: Write + Seek>(
    tar: impl Read,
    data: &mut DataWriter<'_, '_, W>,
    sets: &mut AttributeSets,
    options: &Options,
) -> Result<Tree, Error> {
    let latest = options.modified.unwrap_or(u32::MAX);
    let mut archive = Archive::open(tar);
    let mut tree = Tree::default();

    while let Some(entry) = archive.next_entry()? {
        if let EntryKind::HardLink(target) = &entry.kind {
            tree.link(&entry.path, target)?;
            continue;
        }
        let attributes = Attributes {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            modified: entry.modified.min(latest),
            set: sets.intern(&entry.attributes)?,
        };
        let content = store(&mut archive, &entry, data)?;
        tree.insert(&entry.path, attributes, content)?;
    }
    Ok(tree)
}

fn store<W: Write + Seek>(
    archive: &mut Archive<impl Read>,
    entry: &Entry,
    data: &mut DataWriter<'_, '_, W>,
) -> Result<Content, Error> {
    Ok(match &entry.kind {
        EntryKind::File { size } => Content::File(data.store(archive.content(), *size)?),
        EntryKind::Directory => Content::directory(),
        EntryKind::Symlink(target) => Content::symlink(&entry.path, target)?,
        EntryKind::Character(device) => Content::Character(*device),
        EntryKind::Block(device) => Content::Block(*device),
        EntryKind::Fifo | EntryKind::HardLink(_) => Content::Fifo,
    })
}
