//! A file system of layers, without an image around it.

use std::io::{Read, Write};

use super::assemble::assemble;
use super::cache::Packs;
use super::image::bare;
use super::write::Recording;
use super::{Copied, Pack};
use crate::cancellable::Cancellable;
use crate::engine::Cancel;
use crate::error::Error;
use crate::squashfs::{Bounds, Packing, Part};

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
    let store = Packs::of(folder.path())?;
    let packs = pack_all(&store, Vec::new(), layers, recording(packing, cancel))?;
    write(&packs, out, packing, latest)
}

/// Writes the file system that layers make which lie over another file system, whose blocks are
/// copied; nothing if they are not compressed as those of `packing` would be.
pub fn write_squashfs_over<Layer: Read>(
    base: Part<'_>,
    layers: impl IntoIterator<Item = Layer>,
    out: &mut impl Write,
    packing: Packing,
    bounds: Bounds<'_>,
) -> Result<Option<u64>, Error> {
    let folder = tempfile::tempdir().map_err(Error::io("creating", "a folder"))?;
    let store = Packs::of(folder.path())?;
    let recording = recording(packing, bounds.cancel);
    let copied = store.copy(base, recording)?;
    let base = copied.map_or(Ok(None), |copied: Copied| copied.pack(bounds))?;
    let Some(base) = base else {
        return Ok(None);
    };
    let packs = pack_all(&store, vec![base], layers, recording)?;
    write(&packs, out, packing, None).map(Some)
}

fn recording(packing: Packing, cancel: &Cancel) -> Recording<'_> {
    Recording {
        packing,
        below: &[],
        cancel,
    }
}

fn pack_all<Layer: Read>(
    store: &Packs,
    mut packs: Vec<Pack>,
    layers: impl IntoIterator<Item = Layer>,
    recording: Recording<'_>,
) -> Result<Vec<Pack>, Error> {
    for layer in layers {
        packs.push(store.make(Cancellable::new(layer, recording.cancel), recording)?);
    }
    Ok(packs)
}

fn write(
    packs: &[Pack],
    out: &mut impl Write,
    packing: Packing,
    latest: Option<u32>,
) -> Result<u64, Error> {
    let layout = bare(assemble(packs, packing, latest)?, packs);
    layout
        .copy_to(out)
        .map_err(Error::io("writing", "a squashfs"))?;
    Ok(layout.size())
}
