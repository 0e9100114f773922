//! A file system of layers, without an image around it.

use std::io::{Read, Write};

use super::assemble::assemble;
use super::image::bare;
use super::write::{Recording, record};
use crate::cancellable::Cancellable;
use crate::engine::Cancel;
use crate::error::Error;
use crate::squashfs::Packing;

/// Writes the file system that layers make which lie over each other, the lowest first, and gives
/// its size. Layers are tar streams that are not compressed.
///
/// Times later than `latest`, in seconds since 1970, become that time; it is the time of the file
/// system, too. The same layers and packing give the same bytes, whatever the number of threads.
pub fn write_squashfs<Layer: Read>(
    layers: impl IntoIterator<Item = Layer>,
    out: &mut impl Write,
    packing: Packing,
    latest: Option<u32>,
    cancel: &Cancel,
) -> Result<u64, Error> {
    let folder = tempfile::tempdir().map_err(Error::io("creating", "a folder"))?;
    let recording = Recording {
        packing,
        below: &[],
        cancel,
    };
    let mut packs = Vec::new();
    for (number, layer) in layers.into_iter().enumerate() {
        let folder = folder.path().join(number.to_string());
        std::fs::create_dir(&folder).map_err(Error::io("creating", &folder))?;
        packs.push(record(Cancellable::new(layer, cancel), &folder, recording)?);
    }
    let layout = bare(assemble(&packs, packing, latest)?, &packs);
    layout
        .copy_to(out)
        .map_err(Error::io("writing", "a squashfs"))?;
    Ok(layout.size())
}
