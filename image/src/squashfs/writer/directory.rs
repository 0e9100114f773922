//! How is a folder's list of names stored?
//!
//! As runs of up to 256 entries. The header of a run says in which metadata block of the inode
//! table all its inodes are, so entries need only their offset. In a long list each metadata block
//! begins with a run of its own, which the index of the folder's inode names: a look-up then reads
//! one block only.

use super::error::Error;
use super::metadata::MetadataWriter;
use crate::squashfs::format::{Kind, LONGEST_RUN, METADATA_BLOCK, Position};

const HEADER: usize = 12;

/// A name in a folder.
pub(super) struct Child<'t> {
    pub(super) name: &'t [u8],
    /// Type of the basic inode, also for an extended one.
    pub(super) kind: Kind,
    pub(super) number: u32,
    pub(super) inode: Position,
}

/// Where the list of a folder lies.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) position: Position,
    /// Bytes of the list before compression.
    pub(super) size: u32,
    /// Where to look for names that are not in the first metadata block.
    pub(super) index: Vec<IndexEntry>,
}

/// The first name in a metadata block of a list.
#[derive(Debug)]
pub(super) struct IndexEntry {
    /// Byte in the list at which the run begins.
    pub(super) start: u32,
    /// The metadata block.
    pub(super) block: u32,
    pub(super) name: Box<[u8]>,
}

struct Run<'t> {
    first: Child<'t>,
    count: u32,
    entries: Vec<u8>,
}

/// Writes a list; the names are sorted by their bytes.
pub(super) fn write<'t>(
    table: &mut MetadataWriter<'_>,
    children: impl Iterator<Item = Child<'t>>,
) -> Result<Listing, Error> {
    let mut listing = Listing {
        position: table.position(),
        ..Listing::default()
    };
    let mut run: Option<Run<'t>> = None;
    for child in children {
        let offset = usize::from(table.position().offset);
        match &mut run {
            Some(run) if run.takes(&child, offset) => run.add(&child),
            _ => {
                let begun = Run::begin(child);
                if let Some(full) = run.replace(begun) {
                    listing.append(table, &full)?;
                }
            }
        }
    }
    if let Some(last) = run {
        listing.append(table, &last)?;
    }
    if usize::try_from(listing.size).is_ok_and(|size| size <= METADATA_BLOCK) {
        listing.index.clear(); // a short list is read as a whole
    }
    Ok(listing)
}

impl Listing {
    fn append(&mut self, table: &mut MetadataWriter<'_>, run: &Run<'_>) -> Result<(), Error> {
        let too_large = |_| Error::TooLarge("directory table");
        let block = table.position().block;
        let last = self
            .index
            .last()
            .map_or(self.position.block, |entry| u64::from(entry.block));
        if block != last {
            self.index.push(IndexEntry {
                start: self.size,
                block: u32::try_from(block).map_err(too_large)?,
                name: run.first.name.into(),
            });
        }
        table.write(&(run.count - 1).to_le_bytes());
        table.write(
            &u32::try_from(run.first.inode.block)
                .map_err(too_large)?
                .to_le_bytes(),
        );
        table.write(&run.first.number.to_le_bytes());
        table.write(&run.entries);

        let length = u32::try_from(HEADER + run.entries.len()).map_err(too_large)?;
        self.size = self
            .size
            .checked_add(length)
            .ok_or(Error::TooLarge("directory table"))?;
        Ok(())
    }
}

impl<'t> Run<'t> {
    fn begin(first: Child<'t>) -> Self {
        let mut run = Self {
            count: 0,
            entries: Vec::new(),
            first,
        };
        let (name, kind) = (run.first.name, run.first.kind);
        run.add_entry(name, kind, run.first.inode.offset, 0);
        run
    }

    /// Whether a child can go behind this header, which will be at `offset` of a metadata block.
    fn takes(&self, child: &Child<'_>, offset: usize) -> bool {
        self.count < LONGEST_RUN
            && child.inode.block == self.first.inode.block
            && self.distance(child).is_some()
            && offset + HEADER + self.entries.len() < METADATA_BLOCK
    }

    fn add(&mut self, child: &Child<'_>) {
        let distance = self.distance(child).unwrap_or(0);
        self.add_entry(child.name, child.kind, child.inode.offset, distance);
    }

    fn add_entry(&mut self, name: &[u8], kind: Kind, offset: u16, distance: i16) {
        let length = u16::try_from(name.len().saturating_sub(1)).unwrap_or(u16::MAX);
        self.entries.extend_from_slice(&offset.to_le_bytes());
        self.entries.extend_from_slice(&distance.to_le_bytes());
        self.entries.extend_from_slice(&(kind as u16).to_le_bytes());
        self.entries.extend_from_slice(&length.to_le_bytes());
        self.entries.extend_from_slice(name);
        self.count += 1;
    }

    fn distance(&self, child: &Child<'_>) -> Option<i16> {
        i16::try_from(i64::from(child.number) - i64::from(self.first.number)).ok()
    }
}
