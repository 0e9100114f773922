//! How are inodes, directories and tables stored?
//!
//! As metadata blocks: 8 KiB at a time, compressed, behind a 16-bit header that holds the stored
//! length and, in its highest bit, whether the block is stored as it is.

use super::codec::Codec;
use crate::squashfs::format::{METADATA_BLOCK, METADATA_UNCOMPRESSED, Position};

/// A table that is being written.
pub(super) struct MetadataWriter<'c> {
    codec: &'c mut Codec,
    block: Vec<u8>,
    stored: Vec<u8>,
    starts: Vec<u64>,
}

/// A table that was written.
pub(super) struct Metadata {
    /// The metadata blocks.
    pub(super) stored: Vec<u8>,
    /// Where each of them begins.
    starts: Vec<u64>,
}

impl Metadata {
    /// Where each block is when the table begins at `start`: 8 bytes for each.
    pub(super) fn list(&self, start: u64) -> Vec<u8> {
        self.starts
            .iter()
            .flat_map(|block| (start + block).to_le_bytes())
            .collect()
    }
}

impl<'c> MetadataWriter<'c> {
    pub(super) fn start(codec: &'c mut Codec) -> Self {
        Self {
            codec,
            block: Vec::with_capacity(METADATA_BLOCK),
            stored: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// Where the next byte will be.
    pub(super) fn position(&self) -> Position {
        let offset = u16::try_from(self.block.len()).unwrap_or(u16::MAX);
        Position {
            block: self.stored.len() as u64,
            offset,
        }
    }

    /// Appends bytes, which may reach over the end of a block.
    pub(super) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(METADATA_BLOCK - self.block.len()));
            self.block.extend_from_slice(head);
            if self.block.len() == METADATA_BLOCK {
                self.store_block();
            }
            bytes = rest;
        }
    }

    pub(super) fn finish(mut self) -> Metadata {
        if !self.block.is_empty() {
            self.store_block();
        }
        Metadata {
            stored: self.stored,
            starts: self.starts,
        }
    }

    fn store_block(&mut self) {
        self.starts.push(self.stored.len() as u64);
        let compressed = self.codec.compress(&self.block);
        let (bytes, flag) = match &compressed {
            Some(bytes) => (bytes, 0),
            None => (&self.block, METADATA_UNCOMPRESSED),
        };
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.stored
            .extend_from_slice(&(length | flag).to_le_bytes());
        self.stored.extend_from_slice(bytes);
        self.block.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    #[test]
    fn a_block_that_does_not_shrink_is_stored_as_it_is() {
        let mut codec = Options::default().codec().unwrap();
        let mut writer = MetadataWriter::start(&mut codec);

        writer.write(b"abc");
        let table = writer.finish();

        assert_eq!(table.stored, [3, 0x80, b'a', b'b', b'c']);
    }

    #[test]
    fn a_full_block_is_stored_before_the_next_byte_is_placed() {
        let mut codec = Options::default().codec().unwrap();
        let mut writer = MetadataWriter::start(&mut codec);

        writer.write(&[7; METADATA_BLOCK]);
        let position = writer.position();
        writer.write(&[7]);
        let table = writer.finish();

        assert_eq!(position.offset, 0);
        assert_eq!(table.starts, [0, position.block]);
    }
}
