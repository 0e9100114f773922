//! How does the stream of a layer become a pack?

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::entries::{self, Problem};
use super::index::{DataFile, Form, Index};
use super::{DATA, INDEX, Pack};
use crate::engine::Cancel;
use crate::error::Error;
use crate::squashfs::Packing;
use crate::squashfs::writer::data::{ContentHash, DataWriter};
use crate::squashfs::writer::output::Output;

const BUFFER: usize = 1 << 20;

/// What surrounds the writing of a pack.
#[derive(Clone, Copy)]
pub(crate) struct Recording<'a> {
    pub(crate) packing: Packing,
    /// Packs that lie below wherever this one does: what they hold is not stored again.
    pub(crate) below: &'a [Pack],
    pub(crate) cancel: &'a Cancel,
}

/// Makes a pack of a layer's tar stream in a folder that is there.
///
/// The same stream and packing give the same bytes, whatever the number of threads.
pub(crate) fn record(
    layer: impl Read,
    folder: &Path,
    recording: Recording<'_>,
) -> Result<Pack, Error> {
    let data = folder.join(DATA);
    let file = File::create_new(&data).map_err(Error::io("creating", &data))?;
    let mut blocks = Blocks {
        out: BufWriter::with_capacity(BUFFER, file),
        hash: Sha256::new(),
    };
    let index = record_into(layer, &mut blocks, recording);
    if recording.cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let mut index = index.map_err(|problem| problem.into_error(&data))?;
    index.data.sha256 = blocks.finish().map_err(Error::io("writing", &data))?;
    write_index(&index, &folder.join(INDEX))?;
    Ok(Pack::new(folder.to_owned(), index))
}

/// Writes an index, whose data is in place.
pub(super) fn write_index(index: &Index, path: &Path) -> Result<(), Error> {
    let bytes = index.encode();
    let bytes = bytes.map_err(|error| Error::Internal(format!("index of a pack: {error}")))?;
    fs::write(path, bytes).map_err(Error::io("writing", path))
}

fn record_into(
    layer: impl Read,
    blocks: &mut Blocks,
    recording: Recording<'_>,
) -> Result<Index, Problem> {
    let options = recording.packing.options(None);
    let mut output = Output::at(0, blocks);
    let mut data = DataWriter::start(&mut output, &options)?.except(contents_of(recording.below));
    let entries = entries::read(layer, &mut data, recording.cancel)?;
    let data = data.finish()?;
    Ok(Index {
        form: form_of(recording.packing),
        entries,
        files: data.files,
        fragments: data.fragments,
        data: DataFile {
            sha256: [0; 32],
            size: output.pad()?,
        },
    })
}

/// How blocks are compressed by it.
pub(super) fn form_of(packing: Packing) -> Form {
    Form {
        compressor: packing.compression.id(),
        block_size: packing.block_size,
    }
}

fn contents_of(packs: &[Pack]) -> HashSet<ContentHash> {
    let files = packs.iter().flat_map(|pack| &pack.index.files);
    let stored = files.filter(|file| file.size > 0 && file.is_stored());
    stored.map(|file| file.hash).collect()
}

/// The data of a pack, which is hashed as it is written.
struct Blocks {
    out: BufWriter<File>,
    hash: Sha256,
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Blocks {
    fn finish(mut self) -> io::Result<[u8; 32]> {
        self.out.flush()?;
        Ok(self.hash.finalize().into())
    }
}
