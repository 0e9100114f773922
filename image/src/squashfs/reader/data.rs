//! Where does the content of a file lie?
//!
//! Its blocks lie one behind the other; the inode lists their stored sizes, zero for a block of
//! zeros that is not stored. What remains behind the last whole block may lie in a fragment block.

use std::ops::Range;

use super::image::Image;
use super::inode::{File, Tail};
use super::metadata::Cursor;
use super::place::{FragmentPlace, Place, TailPlace};
use crate::engine::Cancel;
use crate::error::Error;
use crate::squashfs::damaged;
use crate::squashfs::format::{BLOCK_UNCOMPRESSED, METADATA_BLOCK, u32_at, u64_at};

/// Bytes of an entry in the fragment table.
const FRAGMENT: usize = 16;
/// Files of more pieces are written with their holes filled.
const MOST_PIECES: usize = 1 << 18;
/// How many blocks are looked at before somebody may stop it.
const BLOCKS_AT_ONCE: u64 = 1 << 16;

/// A block as it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) at: u64,
    pub(super) length: usize,
    pub(super) is_compressed: bool,
    pub(super) unpacked: Unpacked,
}

impl Stored {
    /// Its length as it stands in the image.
    fn size(self) -> u32 {
        let length = u32::try_from(self.length).unwrap_or_default();
        if self.is_compressed {
            length
        } else {
            length | BLOCK_UNCOMPRESSED
        }
    }
}

/// How long a block has to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unpacked {
    Exactly(usize),
    AtMost(usize),
}

/// A piece of a file.
#[derive(Debug)]
pub(super) enum Piece {
    Block(Stored),
    Tail { fragment: u32, part: Range<usize> },
    Hole(u64),
}

/// The content of a file that is being read.
#[derive(Debug)]
pub(super) struct Content {
    list: Cursor,
    /// Where the next block is stored.
    at: u64,
    /// Blocks that were not read yet.
    blocks: u64,
    /// Bytes that were not read yet.
    unread: u64,
    tail: Option<Tail>,
    /// Whether holes are written as zeros.
    has_zeros: bool,
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) content: Content,
    /// Where its data lies, each piece with its start and length, in a file with holes.
    pub(super) pieces: Option<Vec<(u64, u64)>>,
}

/// How many blocks all files together may list: as many as the inode table has room for.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn of(image: &Image) -> Self {
        const SHORTEST: u64 = 3; // a header and a byte
        let superblock = &image.superblock;
        let stored = superblock.directory_table - superblock.inode_table;
        Self((stored / SHORTEST + 1).saturating_mul(METADATA_BLOCK as u64) / 4)
    }
}

/// Looks for the holes of a file.
pub(super) fn plan(
    image: &mut Image,
    file: &File,
    budget: &mut Budget,
    cancel: &Cancel,
) -> Result<Plan, Error> {
    let block_size = u64::from(image.superblock.block_size);
    let ends_within = !file.size.is_multiple_of(block_size);
    let has_tail = file.tail.is_some() && ends_within;
    let blocks = file.size / block_size + u64::from(ends_within && !has_tail);
    let left = budget.0.checked_sub(blocks);
    budget.0 = left.ok_or_else(|| damaged("a file of it is longer than its list of blocks"))?;
    if i64::try_from(file.size).is_err() {
        return Err(damaged("a file of it is longer than files can be"));
    }
    let mut content = Content {
        list: file.blocks.clone(),
        at: file.start,
        blocks,
        unread: file.size,
        tail: file.tail.filter(|_| has_tail),
        has_zeros: false,
    };
    let pieces = pieces(image, file, blocks, cancel)?;
    content.has_zeros = pieces.len() > MOST_PIECES;
    let is_whole = pieces.iter().map(|(_, length)| length).sum::<u64>() == file.size;
    let pieces = Some(pieces).filter(|_| !is_whole && !content.has_zeros);
    Ok(Plan { content, pieces })
}

/// The pieces of data between the holes, or the first of them if there are too many.
fn pieces(
    image: &mut Image,
    file: &File,
    blocks: u64,
    cancel: &Cancel,
) -> Result<Vec<(u64, u64)>, Error> {
    let block_size = u64::from(image.superblock.block_size);
    let mut list = file.blocks.clone();
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    let mut add = |start: u64, end: u64| match pieces.last_mut() {
        Some((first, length)) if *first + *length == start => *length += end - start,
        _ => pieces.push((start, end - start)),
    };
    for block in 0..blocks {
        if block % BLOCKS_AT_ONCE == 0 && cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let start = block * block_size;
        if image.metadata.u32(&mut list)? != 0 {
            add(start, file.size.min(start + block_size));
        }
    }
    let in_blocks = file.size.min(blocks * block_size);
    if in_blocks < file.size {
        add(in_blocks, file.size);
    }
    Ok(pieces)
}

impl Content {
    /// How many blocks its list has.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Where all of it lies, before anything of it is read.
    pub(super) fn place(&self, image: &mut Image) -> Result<Place, Error> {
        let mut list = self.list.clone();
        let blocks = (0..self.blocks).map(|_| image.metadata.u32(&mut list));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let tail = self.tail.map(|tail| tail.place(image)).transpose()?;
        Ok(Place {
            start: self.at,
            blocks,
            tail,
        })
    }

    /// The next piece; holes only of a file that is written without any.
    pub(super) fn next(&mut self, image: &mut Image) -> Result<Option<Piece>, Error> {
        let block_size = image.block_size();
        while self.blocks > 0 {
            self.blocks -= 1;
            let length = self.unread.min(block_size as u64);
            self.unread -= length;
            let size = image.metadata.u32(&mut self.list)?;
            if size != 0 {
                let length = usize::try_from(length).unwrap_or_default();
                let stored = stored(self.at, size, Unpacked::Exactly(length))?;
                self.at = self.at.saturating_add(stored.length as u64);
                return Ok(Some(Piece::Block(stored)));
            }
            if self.has_zeros {
                return Ok(Some(Piece::Hole(length)));
            }
        }
        let Some(Tail { fragment, offset }) = self.tail.take() else {
            return Ok(None);
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let length = usize::try_from(self.unread).unwrap_or(usize::MAX);
        let end = start.saturating_add(length);
        if end > block_size {
            return Err(damaged("the end of a file lies outside of its block"));
        }
        let part = start..end;
        Ok(Some(Piece::Tail { fragment, part }))
    }
}

impl Tail {
    fn place(self, image: &mut Image) -> Result<TailPlace, Error> {
        let stored = fragment(image, self.fragment)?;
        let fragment = FragmentPlace {
            number: self.fragment,
            start: stored.at,
            size: stored.size(),
        };
        Ok(TailPlace {
            fragment,
            offset: self.offset,
        })
    }
}

/// Where a fragment block is stored.
pub(super) fn fragment(image: &mut Image, fragment: u32) -> Result<Stored, Error> {
    if fragment >= image.superblock.fragments {
        return Err(damaged(
            "the end of a file lies in a block that is not there",
        ));
    }
    let table = image.superblock.fragment_table;
    let entry = image.entry::<FRAGMENT>(table, fragment)?;
    let (at, size) = (u64_at(&entry, 0), u32_at(&entry, 8));
    let most = image.block_size();
    stored(at, size, Unpacked::AtMost(most))
}

fn stored(at: u64, size: u32, unpacked: Unpacked) -> Result<Stored, Error> {
    let (Unpacked::Exactly(most) | Unpacked::AtMost(most)) = unpacked;
    let length = usize::try_from(size & !BLOCK_UNCOMPRESSED).unwrap_or(usize::MAX);
    let is_compressed = size & BLOCK_UNCOMPRESSED == 0;
    if length == 0 || length > most {
        return Err(damaged("a block of it has an impossible length"));
    }
    Ok(Stored {
        at,
        length,
        is_compressed,
        unpacked,
    })
}
