//! How are blocks unpacked on all cores, and their contents kept in order?
//!
//! Pieces of the archive wait in a queue while those before them are read. What may wait is bounded
//! by its bytes, before and after they are unpacked.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::codec::Decoder;
use super::data::{Stored, Unpacked};
use super::image::Image;
use super::source::Source;
use crate::error::Error;
use crate::squashfs::damaged;
use crate::squashfs::pool::{self, Pool, Ticket};

/// Memory of everything that waits.
const MOST_WAITING: usize = 24 << 20;
/// Blocks on their way for each thread: the less wait, the more of them are in the caches.
const BLOCKS_PER_THREAD: usize = 8;
/// What a piece takes besides its bytes.
const PIECE: usize = 64;
/// Fragment blocks that are kept for the next file.
const MOST_FRAGMENTS: usize = 6;

type Block = Result<Vec<u8>, Error>;

enum Piece {
    Bytes(Vec<u8>),
    Block(Ticket<Block>),
    Tail(Shared, Range<usize>),
    Zeros(u64),
}

/// A fragment block, which several files need.
type Shared = Arc<Mutex<Fragment>>;

enum Fragment {
    Waiting(Ticket<Block>),
    Ready(Arc<Vec<u8>>),
    Damaged,
}

/// A part of the archive that can be read.
pub(super) enum Chunk {
    Bytes(Vec<u8>, Range<usize>),
    Shared(Arc<Vec<u8>>, Range<usize>),
    Zeros(u64),
}

/// The archive's next pieces.
pub(super) struct Queue {
    pool: Pool<Stored, Block>,
    pieces: VecDeque<(Piece, usize)>,
    /// Fragment blocks by number, the one used last at the end.
    fragments: VecDeque<(u32, Shared)>,
    weight: usize,
    most: usize,
}

impl Queue {
    /// Starts the threads.
    pub(super) fn start(image: &Image) -> Result<Self, Error> {
        let (threads, block_size) = (pool::cores(), image.block_size());
        let decoders = (0..threads).map(|_| image.compressor.decoder());
        let decoders: Vec<Decoder> = decoders.collect::<Result<_, _>>()?;
        let workers = decoders.into_iter().map(|mut decoder| {
            let source = Arc::clone(&image.source);
            move |stored| unpack(&source, &mut decoder, stored)
        });
        let pool = Pool::start(workers.collect());
        Ok(Self {
            pool: pool.map_err(Error::io("starting threads to read", "an image"))?,
            pieces: VecDeque::new(),
            fragments: VecDeque::new(),
            weight: 0,
            most: MOST_WAITING.min(threads * BLOCKS_PER_THREAD * 2 * block_size),
        })
    }

    /// Whether something should be read before more is put in.
    pub(super) fn is_full(&self) -> bool {
        self.weight >= self.most
    }

    pub(super) fn push_bytes(&mut self, bytes: Vec<u8>) {
        let weight = bytes.len();
        if weight > 0 {
            self.push(Piece::Bytes(bytes), weight);
        }
    }

    pub(super) fn push_zeros(&mut self, count: u64) {
        self.push(Piece::Zeros(count), 0);
    }

    pub(super) fn push_block(&mut self, stored: Stored) -> Result<(), Error> {
        let ticket = self.submit(stored)?;
        self.push(Piece::Block(ticket), weight_of(stored));
        Ok(())
    }

    /// A part of a fragment block, which `find` tells the place of if it is not known.
    pub(super) fn push_tail(
        &mut self,
        number: u32,
        part: Range<usize>,
        find: impl FnOnce() -> Result<Stored, Error>,
    ) -> Result<(), Error> {
        let known = self
            .fragments
            .iter()
            .position(|(known, _)| *known == number);
        let known = known.and_then(|index| self.fragments.remove(index));
        let (shared, weight) = if let Some((_, shared)) = known {
            (shared, 0)
        } else {
            let stored = find()?;
            let fragment = Fragment::Waiting(self.submit(stored)?);
            (Arc::new(Mutex::new(fragment)), weight_of(stored))
        };
        if self.fragments.len() == MOST_FRAGMENTS {
            self.fragments.pop_front();
        }
        self.fragments.push_back((number, Arc::clone(&shared)));
        self.push(Piece::Tail(shared, part), weight);
        Ok(())
    }

    /// Waits for the first piece; nothing if there is none.
    pub(super) fn pop(&mut self) -> Result<Option<Chunk>, Error> {
        let Some((piece, weight)) = self.pieces.pop_front() else {
            return Ok(None);
        };
        self.weight -= weight;
        Ok(Some(match piece {
            Piece::Bytes(bytes) => whole(bytes),
            Piece::Block(ticket) => whole(ticket.wait().ok_or_else(gone)??),
            Piece::Tail(shared, part) => {
                let mut fragment = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let block = fragment.wait()?;
                if part.end > block.len() {
                    return Err(damaged("the end of a file lies outside of its block"));
                }
                Chunk::Shared(block, part)
            }
            Piece::Zeros(count) => Chunk::Zeros(count),
        }))
    }

    fn submit(&mut self, stored: Stored) -> Result<Ticket<Block>, Error> {
        self.pool.submit(stored).ok_or_else(gone)
    }

    fn push(&mut self, piece: Piece, weight: usize) {
        self.pieces.push_back((piece, weight + PIECE));
        self.weight += weight + PIECE;
    }
}

impl Fragment {
    fn wait(&mut self) -> Result<Arc<Vec<u8>>, Error> {
        if let Self::Ready(block) = self {
            return Ok(Arc::clone(block));
        }
        // What cannot be unpacked ends the archive, so nobody asks for it twice.
        let Self::Waiting(ticket) = mem::replace(self, Self::Damaged) else {
            return Err(gone());
        };
        let block = Arc::new(ticket.wait().ok_or_else(gone)??);
        *self = Self::Ready(Arc::clone(&block));
        Ok(block)
    }
}

impl Chunk {
    /// Moves bytes into the buffer; none are left when it returns 0.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let (bytes, rest) = match self {
            Self::Bytes(bytes, rest) => (&*bytes, rest),
            Self::Shared(bytes, rest) => (&**bytes, rest),
            Self::Zeros(left) => {
                let count = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                buffer[..count].fill(0);
                *left -= count as u64;
                return count;
            }
        };
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[rest.start..rest.start + count]);
        rest.start += count;
        count
    }
}

fn whole(bytes: Vec<u8>) -> Chunk {
    let all = 0..bytes.len();
    Chunk::Bytes(bytes, all)
}

fn unpack(source: &Source, decoder: &mut Decoder, stored: Stored) -> Block {
    let mut bytes = vec![0; stored.length];
    source.read(stored.at, &mut bytes)?;
    let (Unpacked::Exactly(most) | Unpacked::AtMost(most)) = stored.unpacked;
    if stored.is_compressed {
        bytes = decoder.unpack(&bytes, most)?;
    }
    match stored.unpacked {
        Unpacked::Exactly(length) if length != bytes.len() => {
            Err(damaged("a block of it is shorter than it should be"))
        }
        _ => Ok(bytes),
    }
}

fn weight_of(stored: Stored) -> usize {
    let (Unpacked::Exactly(most) | Unpacked::AtMost(most)) = stored.unpacked;
    stored.length + most
}

fn gone() -> Error {
    Error::Internal("a thread that reads an image ended early".to_owned())
}
