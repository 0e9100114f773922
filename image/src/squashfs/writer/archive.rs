//! What does a tar stream hold?
//!
//! Reads pax, GNU and old archives: see "ustar Interchange Format" in POSIX `pax(1)`.

use std::io::{self, BufReader, Read, Take};

use tar::{EntryType, Header};

use super::error::Error;
use super::pax::Records;
use crate::squashfs::device::Device;

const BLOCK: u64 = 512;
/// Linux has no larger files.
const LARGEST_FILE: u64 = i64::MAX as u64;
/// Longest header of pax or GNU that is read; attributes have at most 64 KiB each.
const LONGEST_EXTENSION: u64 = 16 << 20;
/// What may follow the end marker: the rest of a record, which programs may make long.
const LONGEST_TRAILER: u64 = 16 << 20;

/// One file system object in the stream.
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) kind: EntryKind,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: u32,
    /// Extended attributes by name, sorted.
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an object is.
pub(super) enum EntryKind {
    Directory,
    File { size: u64 },
    HardLink(Vec<u8>),
    Symlink(Vec<u8>),
    Character(Device),
    Block(Device),
    Fifo,
}

/// Headers that came before the one they belong to.
#[derive(Default)]
struct Extensions {
    records: Records,
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

/// A tar stream.
pub(super) struct Archive<R> {
    content: Take<BufReader<R>>,
    padding: u64,
    offset: u64,
    global: Records,
}

impl<R: Read> Archive<R> {
    pub(super) fn open(tar: R) -> Self {
        let reader = BufReader::with_capacity(1 << 17, tar);
        Self {
            content: reader.take(0),
            padding: 0,
            offset: 0,
            global: Records::default(),
        }
    }

    /// The next object, or nothing at the end marker. Content that was not read is skipped.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        let mut extensions = Extensions {
            records: self.global.clone(),
            ..Extensions::default()
        };
        while let Some(header) = self.next_header()? {
            match header.entry_type() {
                EntryType::XHeader => {
                    let bytes = self.extension(&header)?;
                    extensions
                        .records
                        .add(&bytes)
                        .ok_or_else(|| self.malformed("pax header"))?;
                }
                EntryType::XGlobalHeader => {
                    let bytes = self.extension(&header)?;
                    self.global
                        .add(&bytes)
                        .ok_or_else(|| self.malformed("pax header"))?;
                }
                EntryType::GNULongName => {
                    extensions.path = Some(until_zero(self.extension(&header)?));
                }
                EntryType::GNULongLink => {
                    extensions.target = Some(until_zero(self.extension(&header)?));
                }
                _ => return self.entry(&header, &extensions).map(Some),
            }
        }
        Ok(None)
    }

    /// The content of the entry that was returned last.
    pub(super) fn content(&mut self) -> &mut impl Read {
        &mut self.content
    }

    fn entry(&mut self, header: &Header, extensions: &Extensions) -> Result<Entry, Error> {
        let records = &extensions.records;
        if records.is_sparse() || header.entry_type() == EntryType::GNUSparse {
            return Err(self.problem("sparse entries are not read, write whole files"));
        }
        let path = records
            .get("path")
            .map(<[u8]>::to_vec)
            .or_else(|| extensions.path.clone())
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = self.kind(header, extensions, &path)?;
        match kind {
            EntryKind::File { size } => self.expect_content(size)?,
            _ => self.expect_content(0)?,
        }

        let mode = match kind {
            EntryKind::Symlink(_) => 0o777, // Linux knows no other
            _ => header.mode().map_err(|_| self.malformed("mode"))? & 0o7777,
        };
        let modified = self.number(records, "mtime", header.mtime())?;
        let modified = if modified > i64::MAX as u64 {
            0
        } else {
            modified
        }; // negative in base 256
        Ok(Entry {
            path,
            kind,
            mode: u16::try_from(mode).unwrap_or(0),
            uid: self.id(self.number(records, "uid", header.uid())?)?,
            gid: self.id(self.number(records, "gid", header.gid())?)?,
            modified: u32::try_from(modified).unwrap_or(u32::MAX),
            attributes: records.attributes(),
        })
    }

    fn kind(
        &self,
        header: &Header,
        extensions: &Extensions,
        path: &[u8],
    ) -> Result<EntryKind, Error> {
        let target = || {
            let target = extensions.records.get("linkpath").map(<[u8]>::to_vec);
            let target = target.or_else(|| extensions.target.clone());
            target
                .or_else(|| header.link_name_bytes().map(Into::into))
                .unwrap_or_default()
        };
        Ok(match header.entry_type() {
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => {
                EntryKind::Directory // how archives older than POSIX mark them
            }
            EntryType::Regular | EntryType::Continuous => EntryKind::File {
                size: self.number(&extensions.records, "size", header.entry_size())?,
            },
            EntryType::Directory => EntryKind::Directory,
            EntryType::Link => EntryKind::HardLink(target()),
            EntryType::Symlink => EntryKind::Symlink(target()),
            EntryType::Char => EntryKind::Character(self.device(header)?),
            EntryType::Block => EntryKind::Block(self.device(header)?),
            EntryType::Fifo => EntryKind::Fifo,
            other => {
                let byte = char::from(other.as_byte());
                return Err(self.problem(&format!("entries of type {byte:?} are not known")));
            }
        })
    }

    fn device(&self, header: &Header) -> Result<Device, Error> {
        let major = header
            .device_major()
            .map_err(|_| self.malformed("device number"))?;
        let minor = header
            .device_minor()
            .map_err(|_| self.malformed("device number"))?;
        Ok(Device {
            major: major.unwrap_or(0),
            minor: minor.unwrap_or(0),
        })
    }

    fn id(&self, id: u64) -> Result<u32, Error> {
        u32::try_from(id).map_err(|_| self.problem("user and group ids must be below 2^32"))
    }

    /// A number of the pax header or, without one, of the header itself.
    fn number(&self, records: &Records, key: &str, field: io::Result<u64>) -> Result<u64, Error> {
        match records.number(key) {
            Some(number) => number.map_err(|()| self.malformed(key)),
            None => field.map_err(|_| self.malformed(key)),
        }
    }

    fn next_header(&mut self) -> Result<Option<Header>, Error> {
        self.skip_content()?;
        let mut header = Header::new_old();
        self.read_exactly(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            self.read_trailer()?;
            return Ok(None);
        }
        if header.cksum().ok() != Some(checksum(header.as_bytes())) {
            return Err(self.problem("header has a wrong checksum, this is not a tar stream"));
        }
        self.offset += BLOCK;
        Ok(Some(header))
    }

    /// Content of a header that belongs to a later one.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, Error> {
        let size = header.entry_size().map_err(|_| self.malformed("size"))?;
        if size > LONGEST_EXTENSION {
            return Err(self.problem("extended header is larger than 16 MiB"));
        }
        self.expect_content(size)?;
        let mut bytes = Vec::new();
        self.content.read_to_end(&mut bytes).map_err(Error::Read)?;
        if bytes.len() as u64 != size {
            return Err(Error::Truncated);
        }
        Ok(bytes)
    }

    fn expect_content(&mut self, size: u64) -> Result<(), Error> {
        if size > LARGEST_FILE {
            return Err(self.problem("file is larger than files can be"));
        }
        self.content.set_limit(size);
        self.padding = size.next_multiple_of(BLOCK) - size;
        self.offset = self.offset.saturating_add(size + self.padding);
        Ok(())
    }

    fn skip_content(&mut self) -> Result<(), Error> {
        let unread = self.content.limit() + self.padding;
        self.content.set_limit(unread);
        let skipped = io::copy(&mut self.content, &mut io::sink()).map_err(Error::Read)?;
        if skipped == unread {
            Ok(())
        } else {
            Err(Error::Truncated)
        }
    }

    fn read_exactly(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.content
            .get_mut()
            .read_exact(bytes)
            .map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => Error::Truncated,
                _ => Error::Read(source),
            })
    }

    /// Reads to the end, so that whoever writes the stream does not find its pipe closed.
    fn read_trailer(&mut self) -> Result<(), Error> {
        self.content.set_limit(LONGEST_TRAILER);
        io::copy(&mut self.content, &mut io::sink()).map_err(Error::Read)?;
        Ok(())
    }

    fn malformed(&self, what: &str) -> Error {
        self.problem(&format!("{what} is malformed"))
    }

    fn problem(&self, problem: &str) -> Error {
        Error::Archive {
            offset: self.offset,
            problem: problem.to_owned(),
        }
    }
}

/// The sum of all bytes, with the checksum itself counted as spaces.
fn checksum(header: &[u8; 512]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    sum(&header[..148]) + 8 * u32::from(b' ') + sum(&header[156..])
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}
