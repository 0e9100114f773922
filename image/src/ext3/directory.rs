//! The names in a folder. Its index, if it has one, is hidden in entries that name nothing.

use super::blocks;
use super::image::{Image, damaged, number};
use super::inode::Inode;
use crate::error::Error;

/// More than an honest folder has; names are held in memory.
const LARGEST: u64 = 1 << 30;

/// Calls back with every name and its inode, but for `.` and `..`.
pub(super) fn entries(image: &Image<'_>, folder: &Inode) -> Result<Vec<(Vec<u8>, u32)>, Error> {
    if folder.size > LARGEST {
        return Err(damaged("a folder is too large"));
    }
    let mut found = Vec::new();
    for run in blocks::runs(image, folder)? {
        for index in 0..run.count {
            read_block(&image.block(run.block + index)?, &mut found)?;
        }
    }
    found.sort();
    if found.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(damaged("a folder has a name twice"));
    }
    Ok(found)
}

fn read_block(block: &[u8], found: &mut Vec<(Vec<u8>, u32)>) -> Result<(), Error> {
    let mut rest = block;
    while rest.len() >= 8 {
        let length = match number(rest, 4, 2) {
            // 64 KiB do not fit the field.
            0 | 0xffff if block.len() == 64 << 10 => rest.len(),
            length => usize::try_from(length).unwrap_or_default(),
        };
        // Names have at most 255 bytes; the field's other byte tells their kind, or is zero.
        let name = rest.get(8..8 + usize::from(rest[6]));
        let (Some(name), true) = (name, (8..=rest.len()).contains(&length)) else {
            return Err(damaged("a folder has a broken entry"));
        };
        let inode = u32::try_from(number(rest, 0, 4)).unwrap_or_default();
        if inode != 0 && name != b"." && name != b".." {
            check_name(name)?;
            found.push((name.to_vec(), inode));
        }
        rest = &rest[length..];
    }
    Ok(())
}

fn check_name(name: &[u8]) -> Result<(), Error> {
    if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
        return Err(damaged("a folder has a name that cannot be"));
    }
    Ok(())
}
