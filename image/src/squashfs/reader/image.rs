//! Where do the tables of an image lie, and what stands in them?

use std::sync::Arc;

use super::codec::Compressor;
use super::metadata::Metadata;
use super::source::Source;
use crate::error::Error;
use crate::squashfs::format::{METADATA_BLOCK, Position};
use crate::squashfs::superblock::{self, Superblock};
use crate::squashfs::{Part, damaged, unreadable};

/// Bytes of an owner in the id table.
const ID: usize = 4;
/// Bytes of a place in a list of metadata blocks.
const PLACE: u64 = 8;

/// An opened image.
pub(super) struct Image {
    pub(super) source: Arc<Source>,
    pub(super) superblock: Superblock,
    pub(super) compressor: Compressor,
    pub(super) metadata: Metadata,
    ids: Vec<u32>,
}

impl Image {
    /// Reads the superblock and the owners.
    pub(super) fn open(part: Part<'_>) -> Result<Self, Error> {
        let mut source = Source::open(part)?;
        let mut start = [0; superblock::SIZE];
        source.read(0, &mut start)?;
        let superblock = Superblock::decode(&start)?;
        source.limit(superblock.bytes_used)?;
        let compressor = Compressor::of(superblock.compressor)?;
        let source = Arc::new(source);
        let mut image = Self {
            metadata: Metadata::new(Arc::clone(&source), compressor.decoder()?),
            source,
            superblock,
            compressor,
            ids: Vec::new(),
        };
        image.check_options()?;
        for index in 0..image.superblock.ids {
            let id = image.entry::<ID>(image.superblock.id_table, index.into())?;
            image.ids.push(u32::from_le_bytes(id));
        }
        Ok(image)
    }

    /// Blocks tell how they are compressed, except those of lz4, which had another form once.
    fn check_options(&mut self) -> Result<(), Error> {
        const CURRENT: u32 = 1;
        if self.compressor != Compressor::Lz4 {
            return Ok(());
        }
        let mut options = self
            .metadata
            .seek(superblock::SIZE as u64, Position::default())?;
        match self.metadata.u32(&mut options)? {
            CURRENT => Ok(()),
            other => Err(unreadable(&format!(
                "compressed with version {other} of lz4"
            ))),
        }
    }

    /// The user or group at a place of the id table.
    pub(super) fn id(&self, place: u16) -> Result<u32, Error> {
        let id = self.ids.get(usize::from(place));
        id.copied()
            .ok_or_else(|| damaged("a file belongs to nobody"))
    }

    /// Bytes of content that are compressed together.
    pub(super) fn block_size(&self) -> usize {
        usize::try_from(self.superblock.block_size).unwrap_or_default()
    }

    /// An entry of a table whose metadata blocks are listed at `list`.
    pub(super) fn entry<const SIZE: usize>(
        &mut self,
        list: u64,
        index: u32,
    ) -> Result<[u8; SIZE], Error> {
        let index = u64::from(index) * SIZE as u64;
        let block_size = METADATA_BLOCK as u64;
        let mut place = [0; 8];
        let listed = list.saturating_add(index / block_size * PLACE);
        self.source.read(listed, &mut place)?;
        let position = Position {
            block: u64::from_le_bytes(place),
            offset: u16::try_from(index % block_size).unwrap_or_default(),
        };
        let mut cursor = self.metadata.seek(0, position)?;
        let mut entry = [0; SIZE];
        self.metadata.fill(&mut cursor, &mut entry)?;
        Ok(entry)
    }
}
