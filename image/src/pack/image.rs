//! How does a file system of packs become an image?

use super::Pack;
use super::assemble::FileSystem;
use super::layout::{Extent, Layout, Object};
use crate::error::Error;
use crate::sif::{self, SifContents, Squashfs};

/// What is in an image besides its files.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// The definition's text.
    pub(crate) definition: &'a str,
    /// JSON objects by name.
    pub(crate) objects: Vec<(&'a str, &'a [u8])>,
    /// Its architecture, in Go's spelling.
    pub(crate) architecture: &'a str,
    /// The time that everything gets, in seconds since 1970.
    pub(crate) time: i64,
}

/// Puts a SIF around a file system of packs.
pub(crate) fn wrap(
    file_system: FileSystem,
    packs: &[Pack],
    surroundings: Surroundings<'_>,
) -> Result<Layout, Error> {
    let contents = SifContents {
        definition: surroundings.definition,
        objects: surroundings.objects,
        squashfs: Squashfs {
            size: file_system.size(),
            identity: file_system.identity(packs),
        },
        architecture: surroundings.architecture,
        time: surroundings.time,
    };
    let mut head = sif::head(&contents).map_err(|error| Error::Internal(error.to_string()))?;
    head.extend_from_slice(&file_system.superblock);
    Ok(lay_out(head, file_system, packs))
}

/// The file system alone.
pub(super) fn bare(mut file_system: FileSystem, packs: &[Pack]) -> Layout {
    let superblock = std::mem::take(&mut file_system.superblock);
    lay_out(superblock, file_system, packs)
}

fn lay_out(head: Vec<u8>, file_system: FileSystem, packs: &[Pack]) -> Layout {
    let (head, tail) = (Object::of(head), Object::of(file_system.tables));
    let ranges = file_system.ranges.iter().map(|range| Extent {
        object: packs[range.pack].index.data.sha256,
        offset: range.offset,
        length: range.length,
    });
    let first = std::iter::once(whole(&head));
    let extents = first.chain(ranges).chain([whole(&tail)]).collect();

    let mut objects = vec![head];
    for range in file_system.ranges {
        let object = packs[range.pack].object();
        if !objects.iter().any(|known| known.sha256 == object.sha256) {
            objects.push(object);
        }
    }
    objects.push(tail);
    Layout { extents, objects }
}

fn whole(object: &Object) -> Extent {
    Extent {
        object: object.sha256,
        offset: 0,
        length: object.size,
    }
}
