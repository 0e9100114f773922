//! How does a squashfs become a pack whose blocks are its own?
//!
//! It is copied, and read where it was copied to: what is judged is what is kept. Read as a layer,
//! with all blocks unpacked, it gives the entries and the hashes of the contents, and its reader
//! tells besides where each content lies. Then the copy is cut off behind the last block in use.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::cache::Packs;
use super::entries::{self, Contents, Problem};
use super::index::{DataFile, Form, Index};
use super::layout::sha256_of;
use super::write::{Recording, form_of, write_index};
use super::{DATA, INDEX, Pack};
use crate::engine::Cancel;
use crate::error::Error;
use crate::squashfs::writer::data::{self, ContentHash, FileId, Fragment, Tail};
use crate::squashfs::writer::output::ALIGNMENT;
use crate::squashfs::{self, Bounds, FragmentPlace, Part, Place, writer};

/// How much is copied before somebody may stop it.
const STEP: u64 = 64 << 20;
const BUFFER: usize = 128 << 10;

/// A copy of a squashfs, of which a pack can be made.
pub(crate) struct Copied {
    folder: TempDir,
    form: Form,
    length: u64,
}

/// The blocks of a copy that is being read.
pub(crate) struct CopiedBlocks {
    copied: Copied,
    places: Receiver<Place>,
}

impl Packs {
    /// Copies a squashfs; nothing if its blocks are not as those of packs would be.
    pub(crate) fn copy(
        &self,
        part: Part<'_>,
        recording: Recording<'_>,
    ) -> Result<Option<Copied>, Error> {
        let head = squashfs::head(part)?;
        let form = Form {
            compressor: head.compressor,
            block_size: head.block_size,
        };
        if form != form_of(recording.packing) {
            return Ok(None);
        }
        let copied = Copied {
            folder: self.partial()?,
            form,
            length: head.length,
        };
        let data = copied.data();
        let filled = copied.fill(part, recording.cancel);
        if recording.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        filled.map_err(Error::io("writing", data))?;
        Ok(Some(copied))
    }
}

impl Copied {
    /// Reads it; `take` gets it as a layer, and its blocks.
    pub(crate) fn read<T>(
        self,
        bounds: Bounds<'_>,
        take: impl FnOnce(&mut (dyn Read + Send), CopiedBlocks) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let data = self.data();
        let file = File::open(&data).map_err(Error::io("opening", &data))?;
        let part = Part {
            file: &file,
            offset: 0,
            length: self.length,
        };
        let (told, places) = channel();
        squashfs::read_with_places(part, bounds, told, |layer| {
            let copied = self;
            take(layer, CopiedBlocks { copied, places })
        })
    }

    /// Reads it and makes a pack of it; nothing if it has more blocks than an index should have.
    pub(crate) fn pack(self, bounds: Bounds<'_>) -> Result<Option<Pack>, Error> {
        self.read(bounds, |layer, blocks| {
            blocks.into_pack(layer, bounds.cancel)
        })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join(DATA)
    }

    fn fill(&self, part: Part<'_>, cancel: &Cancel) -> io::Result<()> {
        let mut data = File::create_new(self.data())?;
        let mut source = part.file;
        source.seek(SeekFrom::Start(part.offset))?;
        let mut left = self.length;
        while left > 0 && !cancel.is_cancelled() {
            match io::copy(&mut source.take(left.min(STEP)), &mut data)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => left -= count,
            }
        }
        Ok(())
    }

    /// Cuts off what is behind `end`, and fills the last page.
    fn cut(&self, end: u64) -> io::Result<DataFile> {
        let path = self.data();
        let data = File::options().write(true).open(&path)?;
        let size = end.next_multiple_of(ALIGNMENT);
        data.set_len(end)?;
        data.set_len(size)?;
        Ok(DataFile {
            sha256: sha256_of(&path)?,
            size,
        })
    }
}

impl CopiedBlocks {
    /// Makes a pack of the copy, which `layer` is. Nothing if it has more blocks than an index should
    /// have; the layer is not read to its end then.
    pub(crate) fn into_pack(
        self,
        layer: impl Read,
        cancel: &Cancel,
    ) -> Result<Option<Pack>, Error> {
        let Self { copied, places } = self;
        let mut contents = Placed::new(places, copied.form.block_size);
        let entries = entries::read(layer, &mut contents, cancel);
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let entries = match entries {
            Err(Problem::Placeless) => return Ok(None),
            entries => entries.map_err(|problem| problem.into_error(&copied.data()))?,
        };
        let data = copied.cut(contents.end);
        let index = Index {
            form: copied.form,
            entries,
            files: contents.files,
            fragments: contents.fragments,
            data: data.map_err(Error::io("writing", copied.data()))?,
        };
        write_index(&index, &copied.folder.path().join(INDEX))?;
        let folder = copied.folder.path().to_owned();
        Ok(Some(Pack {
            _temporary: Some(Arc::new(copied.folder)),
            ..Pack::new(folder, index)
        }))
    }
}

/// Contents that stay where they are.
struct Placed {
    places: Receiver<Place>,
    block_size: u64,
    buffer: Vec<u8>,
    files: Vec<data::File>,
    known: HashMap<ContentHash, FileId>,
    fragments: Vec<Fragment>,
    /// Places in that table, by those in the image's.
    numbers: HashMap<u32, u32>,
    /// Behind the last block in use.
    end: u64,
}

impl Placed {
    fn new(places: Receiver<Place>, block_size: u32) -> Self {
        Self {
            places,
            block_size: block_size.into(),
            buffer: vec![0; BUFFER],
            files: Vec::new(),
            known: HashMap::new(),
            fragments: Vec::new(),
            numbers: HashMap::new(),
            end: 0,
        }
    }

    fn hash(&mut self, content: &mut impl Read, size: u64) -> Result<ContentHash, writer::Error> {
        let mut hash = Sha256::new();
        let mut unread = size;
        while unread > 0 {
            let most = usize::try_from(unread).map_or(BUFFER, |unread| unread.min(BUFFER));
            match content.read(&mut self.buffer[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(writer::Error::Read(error)),
                Ok(0) => return Err(writer::Error::Truncated),
                Ok(count) => {
                    hash.update(&self.buffer[..count]);
                    unread -= count as u64;
                }
            }
        }
        Ok(hash.finalize().into())
    }

    fn file(&mut self, size: u64, place: Place) -> Result<data::File, writer::Error> {
        let mut file = data::File {
            size,
            start: place.start,
            sparse: sparse(size, &place.blocks, self.block_size),
            blocks: place.blocks,
            ..data::File::default()
        };
        match file.stored_size() {
            0 => file.start = 0,
            stored => self.reach(file.start, stored),
        }
        if let Some(tail) = place.tail {
            file.tail = Some(Tail {
                fragment: self.fragment(tail.fragment)?,
                offset: tail.offset,
            });
        }
        Ok(file)
    }

    /// The place of a fragment block in the pack's table.
    fn fragment(&mut self, place: FragmentPlace) -> Result<u32, writer::Error> {
        if let Some(number) = self.numbers.get(&place.number) {
            return Ok(*number);
        }
        let number = u32::try_from(self.fragments.len());
        let number = number.map_err(|_| writer::Error::TooLarge("fragment table"))?;
        let fragment = Fragment {
            start: place.start,
            size: place.size,
        };
        self.reach(fragment.start, fragment.stored_size());
        self.fragments.push(fragment);
        self.numbers.insert(place.number, number);
        Ok(number)
    }

    fn reach(&mut self, start: u64, length: u64) {
        self.end = self.end.max(start.saturating_add(length));
    }
}

impl Contents for Placed {
    fn store(&mut self, content: &mut impl Read, size: u64) -> Result<FileId, Problem> {
        let place = self.places.recv().map_err(|_| Problem::Placeless)?;
        // Once it is read, its blocks are known to be where they are said to be.
        let hash = self.hash(content, size)?;
        if let Some(file) = self.known.get(&hash) {
            return Ok(*file);
        }
        let file = self.file(size, place)?;
        let id = FileId(self.files.len());
        self.files.push(data::File { hash, ..file });
        self.known.insert(hash, id);
        Ok(id)
    }
}

/// Bytes in blocks of zeros, of which the last may be shorter.
fn sparse(size: u64, blocks: &[u32], block_size: u64) -> u64 {
    let starts = (0..size).step_by(usize::try_from(block_size).unwrap_or(usize::MAX));
    let zeros = starts.zip(blocks).filter(|(_, stored)| **stored == 0);
    zeros.map(|(start, _)| block_size.min(size - start)).sum()
}
