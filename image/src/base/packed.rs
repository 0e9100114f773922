//! Packs of a base's layers, made of the same streams from which the layers are unpacked.

use std::io::{self, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::error::Error;
use crate::layer;
use crate::pack::{Copied, CopiedBlocks, Key, Pack, Packs, Recording};
use crate::sandbox::Failure;
use crate::squashfs::{Bounds, Part};

/// How far unpacking and packing may be from each other.
const MOST_CHUNKS: usize = 16;

/// Packs of a base's layers.
pub(crate) struct BasePacks<'a> {
    store: Packs,
    recording: Recording<'a>,
    /// Those there are, the lowest first.
    layers: Vec<(Key, Pack)>,
    /// Whether there is a layer of which no pack was made.
    is_incomplete: bool,
    /// The key of a base that was unpacked, and of which no packs are kept.
    missing: Option<Key>,
}

/// What there is of a base in packs.
pub(crate) enum Packed {
    /// All of it, the lowest first.
    Whole(Vec<Pack>),
    /// Nothing; the key is the base's.
    Nothing(Key),
}

impl<'a> BasePacks<'a> {
    pub(crate) fn new(store: Packs, recording: Recording<'a>) -> Self {
        Self {
            store,
            recording,
            layers: Vec::new(),
            is_incomplete: false,
            missing: None,
        }
    }

    pub(crate) fn into_packed(self) -> Packed {
        match self.missing {
            Some(key) => Packed::Nothing(key),
            None => Packed::Whole(self.layers.into_iter().map(|(_, pack)| pack).collect()),
        }
    }

    fn key(&self, kind: &str, digest: &str) -> Key {
        Key::of(kind, digest, self.recording.packing)
    }

    /// What the next layer's pack is called: after its content, or after its base.
    pub(super) fn key_of_layer(&self, diff_id: Option<&str>, base: &str) -> Key {
        match diff_id {
            Some(diff_id) => self.key("layer", diff_id),
            None => self.key("part", &format!("{base} {}", self.layers.len())),
        }
    }

    /// Writes down which packs a base has that was unpacked just now.
    pub(super) fn write_down(&mut self, base: &str) -> Result<(), Error> {
        if self.is_incomplete {
            self.missing = Some(self.key("base", base));
            return Ok(());
        }
        let keys: Vec<&Key> = self.layers.iter().map(|(key, _)| key).collect();
        self.store.write_list(&self.key("base", base), &keys)
    }

    /// Looks up which packs a base has that was unpacked before.
    pub(super) fn look_up(&mut self, base: &str) -> Result<(), Error> {
        let key = self.key("base", base);
        match self.store.find_list(&key)? {
            Some(layers) => self.layers = layers,
            None => self.missing = Some(key),
        }
        Ok(())
    }

    /// Copies an image that is the only layer of a base; nothing if there is a pack of it, or it is
    /// packed otherwise.
    pub(super) fn copy(&self, base: &str, image: Part<'_>) -> Result<Option<Copied>, Error> {
        match self.store.find(&self.key_of_layer(None, base))? {
            Some(_) => Ok(None),
            None => self.store.copy(image, self.recording),
        }
    }

    /// Makes the pack of an image that was unpacked before, if none is kept.
    pub(super) fn complete(
        &mut self,
        base: &str,
        image: Part<'_>,
        bounds: Bounds<'_>,
    ) -> Result<(), Error> {
        if self.missing.is_none() || self.is_incomplete {
            return Ok(());
        }
        let key = self.key_of_layer(None, base);
        let Some(pack) = self.find_or_copy(&key, image, bounds)? else {
            return Ok(());
        };
        self.layers.push((key, pack));
        self.missing = None;
        self.write_down(base)
    }

    fn find_or_copy(
        &self,
        key: &Key,
        image: Part<'_>,
        bounds: Bounds<'_>,
    ) -> Result<Option<Pack>, Error> {
        if let Some(pack) = self.store.find(key)? {
            return Ok(Some(pack));
        }
        let copied = self.store.copy(image, self.recording)?;
        let made = copied.map_or(Ok(None), |copied| copied.pack(bounds))?;
        made.map(|pack| self.store.keep(key, pack)).transpose()
    }

    /// Gives a layer to `unpack` and packs it meanwhile, unless it is packed. The pack is kept when
    /// the layer was unpacked, and so was as it should be. Blocks that are there are not compressed.
    pub(super) fn tee<T>(
        &mut self,
        key: Key,
        (layer, blocks): (&mut (dyn Read + Send), Option<CopiedBlocks>),
        unpack: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if let Some(pack) = self.store.find(&key)? {
            self.layers.push((key, pack));
            return unpack(layer);
        }
        let (copies, received) = sync_channel(MOST_CHUNKS);
        let mut tee = Tee {
            source: layer::decompressed(layer).map_err(unreadable)?,
            copies,
            failure: None,
        };
        let (unpacked, packed) = thread::scope(|scope| {
            let (store, recording) = (&self.store, self.recording);
            let received = Received::of(received);
            let packing = scope.spawn(move || match blocks {
                Some(blocks) => blocks.into_pack(received, recording.cancel),
                None => store.make(received, recording).map(Some),
            });
            let unpacked = unpack(&mut tee);
            let failure = tee.end();
            (failure.map_or(unpacked, Err), packing.join())
        });
        let packed = packed.map_err(|_| Error::Internal("the packer panicked".to_owned()))?;
        let unpacked = unpacked?;
        match packed? {
            Some(pack) => {
                let pack = self.store.keep(&key, pack)?;
                self.layers.push((key, pack));
            }
            None => self.is_incomplete = true,
        }
        Ok(unpacked)
    }
}

/// A layer of which somebody gets a copy.
struct Tee<'l> {
    source: Box<dyn Read + Send + 'l>,
    copies: SyncSender<Vec<u8>>,
    /// Why it cannot be read on.
    failure: Option<io::Error>,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.source.read(buffer) {
            Ok(count) => {
                // Who gives up says why himself.
                self.copies
                    .send(buffer[..count].to_vec())
                    .unwrap_or_default();
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}

impl Tee<'_> {
    /// Lets the other reader come to its end, and tells why the layer could not be read.
    fn end(self) -> Option<Error> {
        self.failure.map(unreadable)
    }
}

fn unreadable(error: io::Error) -> Error {
    Failure::from(layer::Error::Read(error)).into()
}

/// The copy of a layer. It ends where the other reader stopped.
struct Received {
    chunks: Receiver<Vec<u8>>,
    chunk: Cursor<Vec<u8>>,
}

impl Received {
    fn of(chunks: Receiver<Vec<u8>>) -> Self {
        Self {
            chunks,
            chunk: Cursor::default(),
        }
    }
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.chunk.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.chunks.recv() {
                Ok(chunk) => self.chunk = Cursor::new(chunk),
                Err(_) => return Ok(0),
            }
        }
    }
}
