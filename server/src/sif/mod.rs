//! What does a SIF say of itself? The head of the format, as much of it as the hub needs: it runs
//! nothing, and does not look into the file system that an image holds.
//!
//! <https://github.com/apptainer/sif/blob/main/pkg/sif/sif.go>

mod facts;
mod sign;
mod signatures;

use std::io;
use std::ops::Range;

use cooperage_protocol::image::Layout;

use crate::store::Store;

pub(crate) use facts::facts;
pub(crate) use sign::{Unsigned, prepare};
pub(crate) use signatures::{Covers, SifSignature, signatures};

/// Bytes of the header, which is followed by the table of descriptors.
const HEADER: usize = 128;

/// Bytes of a descriptor.
const DESCRIPTOR: usize = 585;

/// The most objects that an image may have.
const MOST_DESCRIPTORS: u64 = 4096;

/// Why a file is no SIF that the hub can publish.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSif {
    /// Its content is wrong.
    #[error("this is not a SIF image: {0}")]
    Wrong(&'static str),
    /// It cannot be read.
    #[error("the image cannot be read")]
    Unreadable(#[from] io::Error),
}

/// The bytes of an image in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Where its objects are.
    pub(crate) store: &'a Store,
    /// Which pieces of them it has.
    pub(crate) layout: &'a Layout,
}

/// The head of a SIF.
#[derive(Debug)]
pub(crate) struct Sif {
    header: [u8; HEADER],
    /// Its objects, in the order of their descriptors.
    pub(crate) objects: Vec<Object>,
}

/// An object of a SIF: a partition, a definition, a signature, …
#[derive(Debug)]
pub(crate) struct Object {
    /// What it is.
    pub(crate) kind: Kind,
    /// Where it lies in the file.
    pub(crate) range: Range<u64>,
    descriptor: Vec<u8>,
}

/// What an object of a SIF is, as far as the hub asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Definition,
    Labels,
    /// The file system that is run.
    PrimaryPartition,
    Signature,
    Json,
    Other,
}

impl Source<'_> {
    /// Some bytes of the image.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for piece in self.store.open_image(self.layout, range)?.pieces() {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }
}

impl Sif {
    /// Reads the head of an image, and checks that all it names is there.
    pub(crate) fn read(source: &Source<'_>) -> Result<Self, NotSif> {
        let size = source.layout.size();
        if size < HEADER as u64 {
            return Err(NotSif::Wrong("it is too short"));
        }
        let header = source.read(0..HEADER as u64)?;
        if header.get(32..45) != Some(b"SIF_MAGIC\x0001\0".as_slice()) {
            return Err(NotSif::Wrong("it does not begin as SIF of version 1"));
        }
        let (count, start) = (number(&header, 88), number(&header, 96));
        if count > MOST_DESCRIPTORS {
            return Err(NotSif::Wrong("it has more than 4096 descriptors"));
        }
        let end = start.saturating_add(count * DESCRIPTOR as u64);
        if start < HEADER as u64 || end > size {
            return Err(NotSif::Wrong("its table of descriptors is not in the file"));
        }
        let table = source.read(start..end)?;
        let header = header
            .try_into()
            .map_err(|_| NotSif::Wrong("it is too short"))?;
        let objects = objects(&table, size)?;
        Ok(Self { header, objects })
    }

    /// The architecture of what it runs, in Go's spelling; empty when it does not say.
    pub(crate) fn architecture(&self) -> &'static str {
        match self.header.get(45..47) {
            Some(b"01") => "386",
            Some(b"02") => "amd64",
            Some(b"03") => "arm",
            Some(b"04") => "arm64",
            Some(b"05") => "ppc64",
            Some(b"06") => "ppc64le",
            Some(b"07") => "mips",
            Some(b"08") => "mipsle",
            Some(b"09") => "mips64",
            Some(b"10") => "mips64le",
            Some(b"11") => "s390x",
            Some(b"12") => "riscv64",
            Some(b"13") => "loong64",
            _ => "",
        }
    }

    /// The first object of a kind.
    pub(crate) fn first(&self, kind: Kind) -> Option<&Object> {
        self.objects.iter().find(|object| object.kind == kind)
    }
}

impl Object {
    /// Its name, if it has one.
    pub(crate) fn name(&self) -> String {
        let field = self.descriptor.get(73..201).unwrap_or_default();
        let name = field.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }
}

fn objects(table: &[u8], size: u64) -> Result<Vec<Object>, NotSif> {
    let mut objects = Vec::new();
    for descriptor in table.chunks_exact(DESCRIPTOR).filter(|it| it[4] != 0) {
        let (start, length) = (number(descriptor, 17), number(descriptor, 25));
        let end = start.checked_add(length).filter(|end| *end <= size);
        let Some(end) = end else {
            return Err(NotSif::Wrong(
                "it is cut off: an object lies behind its end",
            ));
        };
        objects.push(Object {
            kind: Kind::of(descriptor),
            range: start..end,
            descriptor: descriptor.to_vec(),
        });
    }
    if !objects.iter().any(|it| it.kind == Kind::PrimaryPartition) {
        return Err(NotSif::Wrong("it has no primary partition to run"));
    }
    Ok(objects)
}

impl Kind {
    fn of(descriptor: &[u8]) -> Self {
        match (short(descriptor, 0), short(descriptor, 205)) {
            (0x4001, _) => Self::Definition,
            (0x4003, _) => Self::Labels,
            (0x4004, 2) => Self::PrimaryPartition,
            (0x4005, _) => Self::Signature,
            (0x4006, _) => Self::Json,
            _ => Self::Other,
        }
    }
}

fn number(bytes: &[u8], offset: usize) -> u64 {
    let field = bytes.get(offset..offset + 8);
    field
        .and_then(|field| field.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

fn short(bytes: &[u8], offset: usize) -> u32 {
    let field = bytes.get(offset..offset + 4);
    field
        .and_then(|field| field.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}
