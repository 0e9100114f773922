//! Where the content of a file lies: maps of blocks as ext2 and ext3 have them, and extents.

use super::image::{Image, damaged, number};
use super::inode::Inode;
use crate::error::Error;

const EXTENTS_MAGIC: u64 = 0xf30a;
const MOST_DEPTH: u64 = 5;
/// Longer extents are reserved and not written yet.
const LONGEST_EXTENT: u64 = 32768;

/// Blocks that follow each other in the file and in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Which block of the file is the first.
    pub(super) at: u64,
    /// Which block of the file system that is.
    pub(super) block: u64,
    pub(super) count: u64,
}

/// The runs of a file in their order; between them are holes.
pub(super) fn runs(image: &Image<'_>, inode: &Inode) -> Result<Vec<Run>, Error> {
    let mut map = Map {
        image,
        end: inode.size.div_ceil(image.block_size),
        visited: 0,
        runs: Vec::new(),
    };
    if inode.has_extents {
        map.extents(&inode.map, None)?;
    } else {
        map.pointers(&inode.map)?;
    }
    Ok(map.runs)
}

struct Map<'a> {
    image: &'a Image<'a>,
    /// How many blocks the file has, holes included.
    end: u64,
    /// How many blocks were looked at or found; a file cannot have more than there are.
    visited: u64,
    runs: Vec<Run>,
}

impl Map<'_> {
    /// Twelve blocks, then trees of one, two and three levels.
    fn pointers(&mut self, map: &[u8; 60]) -> Result<(), Error> {
        let pointer = |index: usize| number(map, index * 4, 4);
        for index in 0..12 {
            self.add(index as u64, pointer(index), 1)?;
        }
        let mut at = 12;
        for level in 1..=3 {
            let index = usize::try_from(level).unwrap_or_default() + 11;
            self.indirect(pointer(index), at, level)?;
            at += self.covered(level);
        }
        Ok(())
    }

    fn indirect(&mut self, block: u64, at: u64, level: u32) -> Result<(), Error> {
        if block == 0 || at >= self.end {
            return Ok(());
        }
        self.visit(1)?;
        let pointers = self.image.block(block)?;
        for (index, pointer) in pointers.chunks_exact(4).enumerate() {
            let pointer = number(pointer, 0, 4);
            let at = at + index as u64 * self.covered(level - 1);
            match level {
                1 => self.add(at, pointer, 1)?,
                _ => self.indirect(pointer, at, level - 1)?,
            }
        }
        Ok(())
    }

    /// How many blocks a tree of that many levels leads to.
    fn covered(&self, level: u32) -> u64 {
        (self.image.block_size / 4).pow(level)
    }

    fn extents(&mut self, node: &[u8], expected: Option<u64>) -> Result<(), Error> {
        let (count, depth) = (number(node, 2, 2), number(node, 6, 2));
        let is_node = number(node, 0, 2) == EXTENTS_MAGIC
            && depth <= MOST_DEPTH
            && expected.is_none_or(|expected| expected == depth);
        let entries = node.get(12..).unwrap_or_default().chunks_exact(12);
        if !is_node || count > entries.len() as u64 {
            return Err(damaged("a tree of extents is broken"));
        }
        for entry in entries.take(usize::try_from(count).unwrap_or_default()) {
            if depth == 0 {
                let block = number(entry, 8, 4) | number(entry, 6, 2) << 32;
                let length = number(entry, 4, 2);
                if length <= LONGEST_EXTENT {
                    self.add(number(entry, 0, 4), block, length)?;
                }
            } else {
                self.visit(1)?;
                let block = number(entry, 4, 4) | number(entry, 8, 2) << 32;
                let node = self.image.block(block)?;
                self.extents(&node, Some(depth - 1))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, at: u64, block: u64, count: u64) -> Result<(), Error> {
        let count = count.min(self.end.saturating_sub(at));
        if block == 0 || count == 0 {
            return Ok(());
        }
        self.visit(count)?;
        match self.runs.last_mut() {
            Some(last) if at < last.at + last.count => {
                return Err(damaged("a file has the same blocks twice"));
            }
            Some(last) if last.at + last.count == at && last.block + last.count == block => {
                last.count += count;
            }
            _ => self.runs.push(Run { at, block, count }),
        }
        Ok(())
    }

    fn visit(&mut self, count: u64) -> Result<(), Error> {
        self.visited += count;
        if self.visited > self.image.block_count {
            return Err(damaged("a file has more blocks than there are"));
        }
        Ok(())
    }
}
