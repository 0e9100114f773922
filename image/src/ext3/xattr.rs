//! Extended attributes: in what an inode has behind its fields, and in a block of their own.

use super::image::{Image, damaged, number};
use crate::error::Error;

const MAGIC: u64 = 0xea02_0000;
/// What stands behind the fields of every inode.
const FIELDS: usize = 128;
const BLOCK_HEADER: usize = 32;
const ENTRY: usize = 16;

type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// All attributes of an inode.
pub(super) fn read(image: &Image<'_>, inode: &[u8], block: u64) -> Result<Xattrs, Error> {
    let mut found = Vec::new();
    if inode.len() > FIELDS + 4 {
        let extra = usize::try_from(number(inode, FIELDS, 2)).unwrap_or_default();
        let behind = inode.get(FIELDS + extra..).unwrap_or_default();
        if number(behind, 0, 4) == MAGIC {
            let entries = &behind[4..];
            parse(entries, entries, &mut found)?;
        }
    }
    if block != 0 {
        let block = image.block(block)?;
        if number(&block, 0, 4) != MAGIC {
            return Err(broken());
        }
        parse(&block[BLOCK_HEADER..], &block, &mut found)?;
    }
    Ok(found)
}

/// Values lie at offsets from the beginning of `values`.
fn parse(mut entries: &[u8], values: &[u8], found: &mut Xattrs) -> Result<(), Error> {
    while number(entries, 0, 4) != 0 {
        let name = entries.get(ENTRY..ENTRY + usize::from(entries[0]));
        let name = name.ok_or_else(broken)?;
        if let Some(prefix) = prefix(entries[1]) {
            let value = value(entries, values)?;
            found.push(([prefix, name].concat(), value.to_vec()));
        }
        let length = (ENTRY + name.len()).next_multiple_of(4);
        entries = entries.get(length..).unwrap_or_default();
    }
    Ok(())
}

fn value<'v>(entry: &[u8], values: &'v [u8]) -> Result<&'v [u8], Error> {
    let field = |offset, size| usize::try_from(number(entry, offset, size)).unwrap_or(usize::MAX);
    if field(4, 4) != 0 {
        return Err(damaged("an attribute lies in a file of its own"));
    }
    let (start, size) = (field(2, 2), field(8, 4));
    let end = start.checked_add(size).ok_or_else(broken)?;
    values.get(start..end).ok_or_else(broken)
}

/// Access control lists belong to the machine, as the other attributes of the system do.
fn prefix(index: u8) -> Option<&'static [u8]> {
    match index {
        1 => Some(b"user."),
        4 => Some(b"trusted."),
        6 => Some(b"security."),
        _ => None,
    }
}

fn broken() -> Error {
    damaged("its attributes are broken")
}
