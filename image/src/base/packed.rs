//! Packs of a base's layers, made of the same streams from which the layers are unpacked.

use std::io::{self, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::error::Error;
use crate::layer;
use crate::pack::{Key, Pack, Packs, Recording};
use crate::sandbox::Failure;

/// How far unpacking and packing may be from each other.
const MOST_CHUNKS: usize = 16;

/// Packs of a base's layers.
pub(crate) struct BasePacks<'a> {
    store: Packs,
    recording: Recording<'a>,
    /// Those there are, the lowest first.
    layers: Vec<(Key, Pack)>,
    /// The key of a base that was unpacked before, and of which no packs are kept.
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
    pub(super) fn write_down(&self, base: &str) -> Result<(), Error> {
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

    /// Gives a layer to `unpack` and packs it meanwhile, unless it is packed. The pack is kept when
    /// the layer was unpacked, and so was as it should be.
    pub(super) fn tee<T>(
        &mut self,
        key: Key,
        layer: &mut (dyn Read + Send),
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
            let packing = scope.spawn(move || store.make(Received::of(received), recording));
            let unpacked = unpack(&mut tee);
            let failure = tee.end();
            (failure.map_or(unpacked, Err), packing.join())
        });
        let packed = packed.map_err(|_| Error::Internal("the packer panicked".to_owned()))?;
        let unpacked = unpacked?;
        let pack = self.store.keep(&key, packed?)?;
        self.layers.push((key, pack));
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
