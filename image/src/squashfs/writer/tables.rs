//! How do the tables behind the data come about?
//!
//! Linux wants them in the order in which they are written here. Fragment, export and id table
//! are metadata blocks with a list of where each block is; the superblock points at the list.

use std::io::Write;

use super::Options;
use super::codec::Codec;
use super::data::{Data, Fragment};
use super::error::Error;
use super::inode_table;
use super::metadata::{Metadata, MetadataWriter};
use super::output::Output;
use super::tree::Tree;
use super::xattr::AttributeSets;
use crate::squashfs::format::ABSENT;
use crate::squashfs::superblock::Superblock;

/// What the tables describe.
#[derive(Clone, Copy)]
pub(crate) struct Image<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) contents: &'t Data,
    pub(crate) attributes: &'t AttributeSets,
}

/// Writes all tables; the superblock says where they are.
pub(crate) fn write<W: Write>(
    output: &mut Output<'_, W>,
    image: &Image<'_>,
    options: &Options,
) -> Result<Superblock, Error> {
    let inodes = inode_table::build(image, options)?;
    let mut codec = options.codec()?;
    Ok(Superblock {
        inodes: count(inodes.references.len() / 8, "inode table")?,
        modified: options.modified.unwrap_or(inodes.latest),
        block_size: options.block_size,
        fragments: count(image.contents.fragments.len(), "fragment table")?,
        compressor: options.compression.id(),
        ids: inodes.ids.count()?,
        root: inodes.root.reference(),
        inode_table: output.append(&inodes.inodes)?,
        directory_table: output.append(&inodes.directories)?,
        fragment_table: write_fragments(output, &mut codec, &image.contents.fragments)?,
        export_table: write_table(output, &mut codec, &inodes.references)?,
        id_table: write_table(output, &mut codec, &inodes.ids.encode())?,
        attribute_table: write_attributes(output, &mut codec, image.attributes)?,
        bytes_used: output.position(),
    })
}

fn write_fragments<W: Write>(
    output: &mut Output<'_, W>,
    codec: &mut Codec,
    fragments: &[Fragment],
) -> Result<u64, Error> {
    if fragments.is_empty() {
        return Ok(ABSENT);
    }
    let mut entries = Vec::with_capacity(fragments.len() * 16);
    for fragment in fragments {
        entries.extend_from_slice(&fragment.start.to_le_bytes());
        entries.extend_from_slice(&fragment.size.to_le_bytes());
        entries.extend_from_slice(&[0; 4]);
    }
    write_table(output, codec, &entries)
}

/// Writes a table and the list of its blocks; gives the place of the list.
fn write_table<W: Write>(
    output: &mut Output<'_, W>,
    codec: &mut Codec,
    entries: &[u8],
) -> Result<u64, Error> {
    let table = metadata_of(codec, entries);
    let start = output.append(&table.stored)?;
    output.append(&table.list(start))
}

/// Writes the sets, the list of them, and where both are; gives the place of the last.
fn write_attributes<W: Write>(
    output: &mut Output<'_, W>,
    codec: &mut Codec,
    attributes: &AttributeSets,
) -> Result<u64, Error> {
    if attributes.len() == 0 {
        return Ok(ABSENT);
    }
    let mut sets = MetadataWriter::start(codec);
    let entries = attributes.write(&mut sets);
    let sets_start = output.append(&sets.finish().stored)?;
    let list = metadata_of(codec, &entries);
    let list_start = output.append(&list.stored)?;

    let mut header = sets_start.to_le_bytes().to_vec();
    header.extend_from_slice(&count(attributes.len(), "attribute table")?.to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    header.extend_from_slice(&list.list(list_start));
    output.append(&header)
}

fn metadata_of(codec: &mut Codec, entries: &[u8]) -> Metadata {
    let mut table = MetadataWriter::start(codec);
    table.write(entries);
    table.finish()
}

fn count(number: usize, table: &'static str) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::TooLarge(table))
}
