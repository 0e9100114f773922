//! Where does the content of regular files lie?
//!
//! A file is cut into blocks, which lie one behind the other and are compressed one by one. What
//! remains behind the last whole block (all of it, in a small file) shares a fragment block with
//! the remains of other files. Blocks of zeros are not stored.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Read, Write};
use std::mem;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Options;
use super::codec::Stored;
use super::error::Error;
use super::output::Output;
use crate::squashfs::format::BLOCK_UNCOMPRESSED;
use crate::squashfs::pool::{self, Pool, Ticket};

/// Files up to this size are compared with those before them before anything is written.
const LARGEST_COMPARED: u64 = 16 << 20;
/// Memory of all blocks on their way through the pool.
const IN_FLIGHT: usize = 32 << 20;

/// SHA-256 of a file's content.
pub(crate) type ContentHash = [u8; 32];

/// The content of a file, by its place among all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileId(pub(crate) usize);

/// Where the content of a file lies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    pub(crate) size: u64,
    pub(crate) hash: ContentHash,
    /// Where the first block is; it is zero in a file without stored blocks.
    pub(crate) start: u64,
    /// Stored size of each block, zero for a block of zeros.
    pub(crate) blocks: Vec<u32>,
    pub(crate) tail: Option<Tail>,
    /// Bytes in blocks that are not stored.
    pub(crate) sparse: u64,
}

impl File {
    /// Whether the content is here, and not where the same content was stored before.
    pub(crate) fn is_stored(&self) -> bool {
        self.size == 0 || !self.blocks.is_empty() || self.tail.is_some()
    }

    /// How many bytes its blocks take.
    pub(crate) fn stored_size(&self) -> u64 {
        self.blocks.iter().map(|block| stored_size(*block)).sum()
    }
}

/// What remains of a file behind its last whole block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tail {
    pub(crate) fragment: u32,
    pub(crate) offset: u32,
}

/// Where a fragment block lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fragment {
    pub(crate) start: u64,
    pub(crate) size: u32,
}

impl Fragment {
    /// How many bytes it takes.
    pub(crate) fn stored_size(&self) -> u64 {
        stored_size(self.size)
    }
}

fn stored_size(block: u32) -> u64 {
    u64::from(block & !BLOCK_UNCOMPRESSED)
}

/// All that was stored.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) files: Vec<File>,
    pub(crate) fragments: Vec<Fragment>,
}

impl Data {
    pub(super) fn file(&self, id: FileId) -> &File {
        &self.files[id.0]
    }
}

enum Destination {
    Block {
        file: FileId,
        block: usize,
        is_first: bool,
    },
    Fragment(usize),
}

/// Stores files while their blocks are compressed on other threads.
pub(crate) struct DataWriter<'o, 'w, W> {
    output: &'o mut Output<'w, W>,
    pool: Pool<Vec<u8>, Stored>,
    in_flight: VecDeque<(Ticket<Stored>, Destination)>,
    most_in_flight: usize,
    block_size: usize,
    /// Tails that wait until they fill a block.
    tails: Vec<u8>,
    data: Data,
    known: HashMap<ContentHash, FileId>,
    /// Contents that are stored already, where the caller finds them.
    elsewhere: HashSet<ContentHash>,
}

impl<'o, 'w, W: Write> DataWriter<'o, 'w, W> {
    pub(crate) fn start(output: &'o mut Output<'w, W>, options: &Options) -> Result<Self, Error> {
        options.check()?;
        let threads = match options.threads {
            0 => pool::cores(),
            threads => threads,
        };
        let block_size = usize::try_from(options.block_size).unwrap_or(usize::MAX);
        Ok(Self {
            output,
            pool: start_pool(threads, options)?,
            in_flight: VecDeque::new(),
            most_in_flight: (threads * 8).min(IN_FLIGHT / (2 * block_size)).max(1),
            block_size,
            tails: Vec::with_capacity(block_size),
            data: Data {
                files: Vec::new(),
                fragments: Vec::new(),
            },
            known: HashMap::new(),
            elsewhere: HashSet::new(),
        })
    }

    /// Does not store contents that are stored elsewhere.
    pub(crate) fn except(self, elsewhere: HashSet<ContentHash>) -> Self {
        Self { elsewhere, ..self }
    }

    /// Stores a file of which `content` has `size` bytes, unless the same content is stored.
    pub(crate) fn store(&mut self, content: &mut impl Read, size: u64) -> Result<FileId, Error> {
        if size > LARGEST_COMPARED {
            return self.store_large(content, size);
        }
        let blocks = self.read_blocks(content, size)?;
        let hash = hash(&blocks);
        if let Some(file) = self.known.get(&hash) {
            return Ok(*file);
        }
        let file = self.begin(size, hash);
        self.known.insert(hash, file);
        if !self.elsewhere.contains(&hash) {
            for block in blocks {
                self.store_part(file, block)?;
            }
        }
        Ok(file)
    }

    fn store_large(&mut self, content: &mut impl Read, size: u64) -> Result<FileId, Error> {
        let file = self.begin(size, ContentHash::default());
        let mut hash = Sha256::new();
        let mut unread = size;
        while unread > 0 {
            let block = self.read_block(content, &mut unread)?;
            hash.update(&block);
            self.store_part(file, block)?;
        }
        self.data.files[file.0].hash = hash.finalize().into();
        Ok(file)
    }

    /// Waits until everything is stored.
    pub(crate) fn finish(mut self) -> Result<Data, Error> {
        self.store_fragment()?;
        while !self.in_flight.is_empty() {
            self.write_first()?;
        }
        Ok(self.data)
    }

    fn begin(&mut self, size: u64, hash: ContentHash) -> FileId {
        self.data.files.push(File {
            size,
            hash,
            ..File::default()
        });
        FileId(self.data.files.len() - 1)
    }

    fn read_blocks(&self, content: &mut impl Read, size: u64) -> Result<Vec<Vec<u8>>, Error> {
        let mut unread = size;
        let mut blocks = Vec::new();
        while unread > 0 {
            blocks.push(self.read_block(content, &mut unread)?);
        }
        Ok(blocks)
    }

    /// The next block, which is shorter only at the end of a file.
    fn read_block(&self, content: &mut impl Read, unread: &mut u64) -> Result<Vec<u8>, Error> {
        let length = usize::try_from(*unread)
            .unwrap_or(usize::MAX)
            .min(self.block_size);
        let mut block = vec![0; length];
        content
            .read_exact(&mut block)
            .map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => Error::Truncated,
                _ => Error::Read(source),
            })?;
        *unread -= length as u64;
        Ok(block)
    }

    fn store_part(&mut self, file: FileId, part: Vec<u8>) -> Result<(), Error> {
        if part.len() < self.block_size {
            return self.store_tail(file, &part);
        }
        let data = &mut self.data.files[file.0];
        data.blocks.push(0);
        if is_zero(&part) {
            data.sparse += part.len() as u64;
            return Ok(());
        }
        let block = data.blocks.len() - 1;
        let destination = Destination::Block {
            file,
            block,
            is_first: data.sparse == (block * self.block_size) as u64,
        };
        self.submit(part, destination)
    }

    fn store_tail(&mut self, file: FileId, tail: &[u8]) -> Result<(), Error> {
        if self.tails.len() + tail.len() > self.block_size {
            self.store_fragment()?;
        }
        let too_large = |_| Error::TooLarge("fragment table");
        self.data.files[file.0].tail = Some(Tail {
            fragment: u32::try_from(self.data.fragments.len()).map_err(too_large)?,
            offset: u32::try_from(self.tails.len()).map_err(too_large)?,
        });
        self.tails.extend_from_slice(tail);
        Ok(())
    }

    /// Stores the tails that wait as one fragment block.
    fn store_fragment(&mut self) -> Result<(), Error> {
        if self.tails.is_empty() {
            return Ok(());
        }
        let tails = mem::replace(&mut self.tails, Vec::with_capacity(self.block_size));
        self.data.fragments.push(Fragment::default());
        self.submit(tails, Destination::Fragment(self.data.fragments.len() - 1))
    }

    fn submit(&mut self, block: Vec<u8>, destination: Destination) -> Result<(), Error> {
        if self.in_flight.len() >= self.most_in_flight {
            self.write_first()?;
        }
        let ticket = self.pool.submit(block).ok_or(Error::Thread(None))?;
        self.in_flight.push_back((ticket, destination));
        Ok(())
    }

    /// Writes the block that was submitted before all others in flight.
    fn write_first(&mut self) -> Result<(), Error> {
        let Some((ticket, destination)) = self.in_flight.pop_front() else {
            return Ok(());
        };
        let stored = ticket.wait().ok_or(Error::Thread(None))?;
        let start = self.output.append(&stored.bytes)?;
        let length = u32::try_from(stored.bytes.len()).map_err(|_| Error::TooLarge("block"))?;
        let size = if stored.is_compressed {
            length
        } else {
            length | BLOCK_UNCOMPRESSED
        };

        match destination {
            Destination::Fragment(index) => self.data.fragments[index] = Fragment { start, size },
            Destination::Block {
                file,
                block,
                is_first,
            } => {
                let file = &mut self.data.files[file.0];
                if is_first {
                    file.start = start;
                }
                file.blocks[block] = size;
            }
        }
        Ok(())
    }
}

fn start_pool(threads: usize, options: &Options) -> Result<Pool<Vec<u8>, Stored>, Error> {
    let codecs = (0..threads).map(|_| options.codec());
    let codecs: Vec<_> = codecs.collect::<Result<_, _>>()?;
    let workers = codecs
        .into_iter()
        .map(|mut codec| move |block| codec.store(block));
    Pool::start(workers.collect()).map_err(|source| Error::Thread(Some(source)))
}

fn hash(blocks: &[Vec<u8>]) -> ContentHash {
    let mut hash = Sha256::new();
    for block in blocks {
        hash.update(block);
    }
    hash.finalize().into()
}

/// Compares the block with itself, one byte further: this is as fast as comparing memory can be.
fn is_zero(block: &[u8]) -> bool {
    block.first() == Some(&0) && block[1..] == block[..block.len() - 1]
}
