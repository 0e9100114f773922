//! How are inodes, directories and tables read?
//!
//! They lie in metadata blocks of up to 8 KiB, each behind a 16-bit header. Blocks that were read
//! last are kept: what belongs together lies together.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::codec::Decoder;
use super::source::Source;
use crate::error::Error;
use crate::squashfs::damaged;
use crate::squashfs::format::{METADATA_BLOCK, METADATA_UNCOMPRESSED, Position};

const HEADER: u64 = 2;
/// How many blocks are kept.
const MOST_KEPT: usize = 256;

/// A metadata block, and where the one behind it begins.
#[derive(Debug, Clone)]
struct Block {
    bytes: Arc<[u8]>,
    next: u64,
}

/// A place from which bytes are read, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    block: Block,
    offset: usize,
}

/// All metadata of an image.
pub(super) struct Metadata {
    source: Arc<Source>,
    decoder: Decoder,
    kept: HashMap<u64, Block>,
    /// Places of the kept blocks, the oldest first.
    order: VecDeque<u64>,
}

impl Metadata {
    pub(super) fn new(source: Arc<Source>, decoder: Decoder) -> Self {
        Self {
            source,
            decoder,
            kept: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Goes to a place in the table that begins at `start`.
    pub(super) fn seek(&mut self, start: u64, position: Position) -> Result<Cursor, Error> {
        let block = self.block(start.saturating_add(position.block))?;
        let offset = usize::from(position.offset);
        if offset >= block.bytes.len() {
            return Err(damaged(
                "something leads to the outside of a metadata block",
            ));
        }
        Ok(Cursor { block, offset })
    }

    /// Reads bytes, which may reach over the end of a block.
    pub(super) fn fill(&mut self, cursor: &mut Cursor, buffer: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            if cursor.offset == cursor.block.bytes.len() {
                cursor.block = self.block(cursor.block.next)?;
                cursor.offset = 0;
            }
            let rest = &cursor.block.bytes[cursor.offset..];
            let count = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            cursor.offset += count;
        }
        Ok(())
    }

    /// Reads so many bytes that their number has been judged.
    pub(super) fn bytes(&mut self, cursor: &mut Cursor, count: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; count];
        self.fill(cursor, &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u16(&mut self, cursor: &mut Cursor) -> Result<u16, Error> {
        let mut bytes = [0; 2];
        self.fill(cursor, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    pub(super) fn u32(&mut self, cursor: &mut Cursor) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.fill(cursor, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn u64(&mut self, cursor: &mut Cursor) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.fill(cursor, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn block(&mut self, at: u64) -> Result<Block, Error> {
        if let Some(block) = self.kept.get(&at) {
            return Ok(block.clone());
        }
        let block = self.load(at)?;
        if self.order.len() == MOST_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.kept.remove(&oldest);
        }
        self.kept.insert(at, block.clone());
        self.order.push_back(at);
        Ok(block)
    }

    fn load(&mut self, at: u64) -> Result<Block, Error> {
        let mut header = [0; 2];
        self.source.read(at, &mut header)?;
        let header = u16::from_le_bytes(header);
        let length = usize::from(header & !METADATA_UNCOMPRESSED);
        if length == 0 || length > METADATA_BLOCK {
            return Err(damaged("a metadata block has an impossible length"));
        }
        let mut stored = vec![0; length];
        self.source.read(at + HEADER, &mut stored)?;
        let bytes = if header & METADATA_UNCOMPRESSED == 0 {
            self.decoder.unpack(&stored, METADATA_BLOCK)?
        } else {
            stored
        };
        if bytes.is_empty() {
            return Err(damaged("a metadata block is empty"));
        }
        Ok(Block {
            bytes: bytes.into(),
            next: at + HEADER + length as u64,
        })
    }
}
