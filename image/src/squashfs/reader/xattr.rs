//! Which extended attributes has a file?

use super::image::Image;
use super::metadata::{Cursor, Metadata};
use crate::error::Error;
use crate::layer::Xattrs;
use crate::squashfs::damaged;
use crate::squashfs::format::{ABSENT, NAME_SPACES, Position, u32_at, u64_at};

/// Bytes of a set in the list of sets.
const SET: usize = 16;
/// Bytes that stand before the places of the list's blocks.
const HEADER: u64 = 16;
/// How a key says that its value stands elsewhere, where another set has the same.
const ELSEWHERE: u16 = 0x100;
/// The bounds of Linux.
const LONGEST_KEY: usize = 255;
const LONGEST_VALUE: usize = 64 << 10;
/// What a file may have in all, names and values.
const MOST_BYTES: usize = 1 << 20;

/// The attributes of a set.
pub(super) fn read(image: &mut Image, set: u32) -> Result<Xattrs, Error> {
    let table = image.superblock.attribute_table;
    if table == ABSENT {
        return Err(damaged("a file has attributes where none are"));
    }
    let mut header = [0; 12];
    image.source.read(table, &mut header)?;
    if set >= u32_at(&header, 8) {
        return Err(damaged("a file has attributes that are not there"));
    }
    let start = u64_at(&header, 0);
    let entry = image.entry::<SET>(table.saturating_add(HEADER), set)?;
    let (reference, count) = (u64_at(&entry, 0), u32_at(&entry, 8));
    let metadata = &mut image.metadata;
    let mut cursor = metadata.seek(start, Position::of(reference))?;
    let mut found = Xattrs::new();
    let mut bytes = 0;
    for _ in 0..count {
        let (name, value) = attribute(metadata, &mut cursor, start)?;
        bytes += name.len() + value.len();
        if bytes > MOST_BYTES {
            return Err(damaged("a file has too many attributes"));
        }
        found.push((name, value));
    }
    Ok(found)
}

fn attribute(
    metadata: &mut Metadata,
    at: &mut Cursor,
    start: u64,
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let kind = metadata.u16(at)?;
    let space = NAME_SPACES.get(usize::from(kind & !ELSEWHERE));
    let space = space.ok_or_else(|| damaged("an attribute is in no known name space"))?;
    let length = usize::from(metadata.u16(at)?);
    if !(1..=LONGEST_KEY).contains(&length) {
        return Err(damaged("the name of an attribute is empty or too long"));
    }
    let name = [space, metadata.bytes(at, length)?.as_slice()].concat();
    if name.contains(&0) || name.contains(&b'=') {
        return Err(damaged("an attribute has `=` or a zero byte in its name"));
    }
    let mut value = value(metadata, at)?;
    if kind & ELSEWHERE != 0 {
        let reference = <[u8; 8]>::try_from(value.as_slice())
            .map_err(|_| damaged("the value of an attribute is nowhere"))?;
        let position = Position::of(u64::from_le_bytes(reference));
        let mut elsewhere = metadata.seek(start, position)?;
        value = self::value(metadata, &mut elsewhere)?;
    }
    Ok((name, value))
}

fn value(metadata: &mut Metadata, at: &mut Cursor) -> Result<Vec<u8>, Error> {
    let length = usize::try_from(metadata.u32(at)?).unwrap_or(usize::MAX);
    if length > LONGEST_VALUE {
        return Err(damaged("the value of an attribute is too long"));
    }
    metadata.bytes(at, length)
}
