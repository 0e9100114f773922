//! How does an image get a signature? One more object at its end, of which its head tells.

use chrono::{DateTime, Utc};

use super::signatures::{self, Statement};
use super::{DESCRIPTOR, HEADER, Kind, NotSif, Sif, Source, number};

/// What a descriptor says of an object that is a signature.
const SIGNATURE: u32 = 0x4005;

/// The group of what is in no group.
const NO_GROUP: u32 = 0xf000_0000;

/// The number of SHA-256.
const SHA256: u32 = 1;

/// An image that can be signed.
#[derive(Debug)]
pub(crate) struct Unsigned {
    /// What is to be signed.
    pub(crate) text: String,
    /// When the image was made.
    pub(crate) time: DateTime<Utc>,
    /// All bytes up to the end of the table of descriptors.
    head: Vec<u8>,
    /// Where in them the descriptor of the signature goes.
    slot: usize,
    group: u32,
    size: u64,
}

/// Reads what a signature of the whole image says. Images that builds of other programs made may
/// have no room for one, or be in several parts, each to be signed by itself.
pub(crate) fn prepare(source: &Source<'_>) -> Result<Unsigned, NotSif> {
    let sif = Sif::read(source)?;
    let objects: Vec<_> = sif.contents().collect();
    let group = objects.first().map_or(NO_GROUP, |object| object.group());
    if group == NO_GROUP || objects.iter().any(|object| object.group() != group) {
        return Err(NotSif::Wrong("its objects are not all in one group"));
    }
    let is_signed = sif.first(Kind::Signature).is_some();
    if is_signed {
        return Err(NotSif::Wrong("somebody signed it already"));
    }
    let (table, count) = (number(&sif.header, 96), number(&sif.header, 88));
    let end = table + count * DESCRIPTOR as u64;
    if objects.iter().any(|object| object.range.start < end) {
        return Err(NotSif::Wrong("an object lies in its table of descriptors"));
    }
    let head = source.read(0..end)?;
    let slot = free_slot(&head, table).ok_or(NotSif::Wrong("it has no room for a signature"))?;
    let statement: Statement = signatures::statement(source, &sif, &objects)?;
    let time = i64::from_le_bytes(number(&sif.header, 64).to_le_bytes());
    Ok(Unsigned {
        text: serde_json::to_string(&statement).map_err(std::io::Error::other)?,
        time: DateTime::from_timestamp(time, 0).unwrap_or_default(),
        head,
        slot,
        group,
        size: source.layout.size(),
    })
}

fn free_slot(head: &[u8], table: u64) -> Option<usize> {
    let table = usize::try_from(table).ok()?;
    let slots = (table..head.len()).step_by(DESCRIPTOR);
    slots
        .into_iter()
        .find(|slot| head.get(slot + 4) == Some(&0))
}

impl Unsigned {
    /// How many bytes the head has: they are others once the image is signed.
    pub(crate) fn head_size(&self) -> u64 {
        self.head.len() as u64
    }

    /// The head of the image with a signature of so many bytes at its end.
    pub(crate) fn signed_head(&self, fingerprint: &[u8; 20], length: usize) -> Vec<u8> {
        let mut head = self.head.clone();
        let descriptor = self.descriptor(fingerprint, length as u64);
        head[self.slot..self.slot + DESCRIPTOR].copy_from_slice(&descriptor);
        let free = number(&head, 80).saturating_sub(1);
        let data = (self.size + length as u64).saturating_sub(number(&head, 112));
        for (offset, value) in [(80, free), (120, data)] {
            head[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        }
        head
    }

    fn descriptor(&self, fingerprint: &[u8; 20], length: u64) -> Vec<u8> {
        let index = (self.slot - self.table()) / DESCRIPTOR;
        let id = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let mut bytes = SIGNATURE.to_le_bytes().to_vec();
        bytes.push(1);
        for field in [id, NO_GROUP, self.group] {
            bytes.extend(field.to_le_bytes());
        }
        for field in [self.size, length, length] {
            bytes.extend(field.to_le_bytes());
        }
        let made = self.head.get(64..72).unwrap_or_default();
        bytes.extend([made, made].concat());
        bytes.resize(201, 0);
        bytes.extend(SHA256.to_le_bytes());
        bytes.extend(fingerprint);
        bytes.resize(DESCRIPTOR, 0);
        bytes
    }

    fn table(&self) -> usize {
        usize::try_from(number(&self.head, 96)).unwrap_or(HEADER)
    }
}
