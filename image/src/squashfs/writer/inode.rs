//! What is the record of an inode?
//!
//! Each kind has a basic form and an extended one, whose type is 7 higher; the extended form is
//! used only where the basic one has no room for something.

use super::data::{File, Tail};
use super::directory::Listing;
use super::error::Error;
use super::tree::Attributes;
use super::xattr::SetId;
use crate::squashfs::format::{DOTS, EXTENDED, Kind, NO_ATTRIBUTES, NO_FRAGMENT};

/// What all kinds have.
pub(super) struct Inode<'t> {
    pub(super) kind: Kind,
    pub(super) number: u32,
    /// Place of the user in the id table.
    pub(super) user: u16,
    /// Place of the group in the id table.
    pub(super) group: u16,
    pub(super) links: u32,
    pub(super) attributes: &'t Attributes,
    pub(super) body: Body<'t>,
}

/// What an inode is.
pub(super) enum Body<'t> {
    Directory { listing: &'t Listing, parent: u32 },
    File(&'t File),
    Symlink(&'t [u8]),
    Device(u32),
    Fifo,
}

impl Inode<'_> {
    /// The record as it stands in the inode table.
    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        match &self.body {
            Body::Directory { listing, parent } => self.directory(listing, *parent),
            Body::File(file) => Ok(self.file(file)),
            Body::Symlink(target) => self.symlink(target),
            Body::Device(device) => Ok(self.special(Some(*device))),
            Body::Fifo => Ok(self.special(None)),
        }
    }

    fn directory(&self, listing: &Listing, parent: u32) -> Result<Vec<u8>, Error> {
        let too_large = |_| Error::TooLarge("directory table");
        let block = u32::try_from(listing.position.block).map_err(too_large)?;
        let offset = listing.position.offset;
        let size = listing
            .size
            .checked_add(DOTS)
            .ok_or(Error::TooLarge("directory table"))?;

        if let (true, None, Ok(size)) = (
            listing.index.is_empty(),
            self.attributes.set,
            u16::try_from(size),
        ) {
            let record = self
                .basic()
                .u32(block)
                .u32(self.links)
                .u16(size)
                .u16(offset);
            return Ok(record.u32(parent).0);
        }
        let entries = u16::try_from(listing.index.len()).map_err(too_large)?;
        let record = self
            .extended()
            .u32(self.links)
            .u32(size)
            .u32(block)
            .u32(parent);
        let mut record = record.u16(entries).u16(offset).u32(self.attribute_set());
        for entry in &listing.index {
            let name_length = u32::try_from(entry.name.len()).map_err(too_large)?;
            record = record
                .u32(entry.start)
                .u32(entry.block)
                .u32(name_length - 1);
            record = record.bytes(&entry.name);
        }
        Ok(record.0)
    }

    fn file(&self, file: &File) -> Vec<u8> {
        let tail = file.tail.unwrap_or(Tail {
            fragment: NO_FRAGMENT,
            offset: 0,
        });
        let record = self.basic_file(file, tail).unwrap_or_else(|| {
            let record = self
                .extended()
                .u64(file.start)
                .u64(file.size)
                .u64(file.sparse);
            let record = record.u32(self.links).u32(tail.fragment).u32(tail.offset);
            record.u32(self.attribute_set())
        });
        file.blocks
            .iter()
            .fold(record, |record, block| record.u32(*block))
            .0
    }

    /// The basic record, where it has room for everything.
    fn basic_file(&self, file: &File, tail: Tail) -> Option<Record> {
        if self.links != 1 || self.attributes.set.is_some() || file.sparse != 0 {
            return None;
        }
        let start = u32::try_from(file.start).ok()?;
        let size = u32::try_from(file.size).ok()?;
        Some(
            self.basic()
                .u32(start)
                .u32(tail.fragment)
                .u32(tail.offset)
                .u32(size),
        )
    }

    fn symlink(&self, target: &[u8]) -> Result<Vec<u8>, Error> {
        let length = u32::try_from(target.len()).map_err(|_| Error::TooLarge("link"))?;
        let record = if self.attributes.set.is_some() {
            self.extended()
        } else {
            self.basic()
        };
        let record = record.u32(self.links).u32(length).bytes(target);
        Ok(self.with_attributes(record).0)
    }

    fn special(&self, device: Option<u32>) -> Vec<u8> {
        let record = if self.attributes.set.is_some() {
            self.extended()
        } else {
            self.basic()
        };
        let record = record.u32(self.links);
        let record = match device {
            Some(device) => record.u32(device),
            None => record,
        };
        self.with_attributes(record).0
    }

    /// The end of an extended record whose basic form differs in nothing else.
    fn with_attributes(&self, record: Record) -> Record {
        match self.attributes.set {
            Some(set) => record.u32(set.number()),
            None => record,
        }
    }

    fn basic(&self) -> Record {
        self.header(self.kind as u16)
    }

    fn extended(&self) -> Record {
        self.header(self.kind as u16 + EXTENDED)
    }

    fn header(&self, kind: u16) -> Record {
        let record = Record(Vec::with_capacity(64))
            .u16(kind)
            .u16(self.attributes.mode);
        record
            .u16(self.user)
            .u16(self.group)
            .u32(self.attributes.modified)
            .u32(self.number)
    }

    fn attribute_set(&self) -> u32 {
        self.attributes.set.map_or(NO_ATTRIBUTES, SetId::number)
    }
}

/// Little-endian bytes.
struct Record(Vec<u8>);

impl Record {
    fn u16(self, number: u16) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    fn u32(self, number: u32) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    fn u64(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}
