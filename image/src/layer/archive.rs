//! Which members a tar archive has, read as a stream.
//!
//! The [`tar`] crate parses the headers; the chain of extension headers is followed here, because
//! records with line breaks in them (capabilities, names) and PAX sparse files need more than it
//! offers.

use std::io::{self, Read};

use tar::Header;

use super::Xattrs;
use super::error::Error;
use super::header::LITERAL;
use super::pax::{self, Records};
use super::sparse::{self, Run};

const BLOCK: u64 = 512;
/// More than any honest name or attribute needs; a hostile layer shall not fill the memory.
const MOST_EXTENSION: u64 = 8 << 20;

/// A tar archive.
pub(crate) struct Archive<R> {
    reader: R,
    /// Bytes of the current member that were not read yet.
    content: u64,
    /// Zeros after the current member's content.
    padding: u64,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    Fifo,
    CharacterDevice,
    BlockDevice,
}

/// One member of an archive.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The name as it is written.
    pub(crate) path: Vec<u8>,
    /// Target of a symbolic or hard link.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    /// Permission bits, set-id and sticky bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub(crate) mtime: (i64, u32),
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Xattrs,
    /// Length of the file, holes included.
    pub(crate) size: u64,
    /// Where the data lies, for a sparse file.
    pub(crate) runs: Option<Vec<Run>>,
    /// Whether the name means itself, even if it is like that of a whiteout.
    pub(crate) is_literal: bool,
}

#[derive(Default)]
struct Extensions {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: Records,
}

impl<R: Read> Archive<R> {
    /// Begins at the first header.
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            content: 0,
            padding: 0,
        }
    }

    /// Goes to the next member; what was not read of the current one is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, Error> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let size = header.entry_size().map_err(malformed)?;
            match header.entry_type().as_byte() {
                b'L' => extensions.long_name = Some(self.name(size)?),
                b'K' => extensions.long_link = Some(self.name(size)?),
                b'x' => extensions.pax = Records::parse(&self.extension(size)?)?,
                // Global headers carry comments (git archive); nothing in them changes a member.
                b'g' => self.set_content(size)?,
                _ => return self.member(&header, &extensions).map(Some),
            }
        }
    }

    /// Reads the current member's content; returns 0 at its end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let most = usize::try_from(self.content)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..most]).map_err(Error::Read)?;
        if count == 0 {
            return Err(truncated());
        }
        self.content -= count as u64;
        Ok(count)
    }

    /// Reads what follows the archive's end.
    pub(crate) fn drain(mut self) -> Result<(), Error> {
        io::copy(&mut self.reader, &mut io::sink()).map_err(Error::Read)?;
        Ok(())
    }

    fn header(&mut self) -> Result<Option<Header>, Error> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let mut filled = 0;
        while filled < block.len() {
            match self
                .reader
                .read(&mut block[filled..])
                .map_err(Error::Read)?
            {
                0 if filled == 0 => return Ok(None),
                0 => return Err(truncated()),
                count => filled += count,
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        verify_checksum(&header)?;
        Ok(Some(header))
    }

    fn member(&mut self, header: &Header, extensions: &Extensions) -> Result<Member, Error> {
        let pax = &extensions.pax;
        let size = match pax.number("size") {
            Some(size) => size,
            None => header.entry_size().map_err(malformed)?,
        };
        let path = name_of(header, extensions);
        let kind = kind_of(header, &path)?;
        let stored = if matches!(kind, Kind::File) { size } else { 0 };
        // Links and directories may carry a size that means nothing; only old tars store data.
        self.set_content(if has_content(header) { size } else { stored })?;
        let map = if header.entry_type().is_gnu_sparse() {
            let reader = &mut self.reader;
            Some(sparse::from_gnu(header, || read_block(reader))?)
        } else {
            sparse::from_pax(pax, || self.content_block())?
        };
        Ok(Member {
            link: link_of(header, extensions),
            kind,
            mode: header.mode().map_err(malformed)? & 0o7777,
            uid: id(pax.number("uid"), header.uid())?,
            gid: id(pax.number("gid"), header.gid())?,
            mtime: mtime(header, pax),
            device: (
                header.device_major().ok().flatten().unwrap_or(0),
                header.device_minor().ok().flatten().unwrap_or(0),
            ),
            xattrs: pax.xattrs(),
            size: map.as_ref().map_or(stored, |map| map.real_size),
            runs: map.map(|map| map.runs),
            is_literal: pax.has(LITERAL),
            path,
        })
    }

    fn content_block(&mut self) -> Result<[u8; 512], Error> {
        let Some(rest) = self.content.checked_sub(BLOCK) else {
            return Err(truncated());
        };
        self.content = rest;
        read_block(&mut self.reader)
    }

    fn set_content(&mut self, size: u64) -> Result<(), Error> {
        size.checked_add(BLOCK)
            .ok_or_else(|| Error::Malformed("member is too long".to_owned()))?;
        self.content = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
        Ok(())
    }

    fn skip_content(&mut self) -> Result<(), Error> {
        let rest = self.content + self.padding;
        let skipped = io::copy(&mut self.reader.by_ref().take(rest), &mut io::sink());
        if skipped.map_err(Error::Read)? < rest {
            return Err(truncated());
        }
        (self.content, self.padding) = (0, 0);
        Ok(())
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > MOST_EXTENSION {
            return Err(Error::Malformed(format!("extended header of {size} bytes")));
        }
        self.set_content(size)?;
        let mut bytes = Vec::new();
        self.reader
            .by_ref()
            .take(size)
            .read_to_end(&mut bytes)
            .map_err(Error::Read)?;
        if (bytes.len() as u64) < size {
            return Err(truncated());
        }
        self.content = 0;
        Ok(bytes)
    }

    fn name(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        let mut name = self.extension(size)?;
        name.truncate(
            name.iter()
                .position(|byte| *byte == 0)
                .unwrap_or(name.len()),
        );
        Ok(name)
    }
}

fn read_block(reader: &mut impl Read) -> Result<[u8; 512], Error> {
    let mut block = [0; 512];
    reader.read_exact(&mut block).map_err(Error::Read)?;
    Ok(block)
}

fn verify_checksum(header: &Header) -> Result<(), Error> {
    let bytes = header.as_bytes();
    let sum: u32 = bytes
        .iter()
        .enumerate()
        .map(|(position, byte)| {
            if (148..156).contains(&position) {
                u32::from(b' ')
            } else {
                u32::from(*byte)
            }
        })
        .sum();
    if header.cksum().map_err(malformed)? != sum {
        return Err(Error::Malformed(
            "header checksum does not match".to_owned(),
        ));
    }
    Ok(())
}

fn kind_of(header: &Header, path: &[u8]) -> Result<Kind, Error> {
    Ok(match header.entry_type().as_byte() {
        // Before POSIX a directory was a file whose name ends with a slash.
        0 | b'0' if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharacterDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => {
            let kind = char::from(other).escape_default();
            return Err(Error::entry(path, format!("has the unknown type `{kind}`")));
        }
    })
}

fn has_content(header: &Header) -> bool {
    matches!(header.entry_type().as_byte(), 0 | b'0' | b'7' | b'S')
}

fn name_of(header: &Header, extensions: &Extensions) -> Vec<u8> {
    let pax = &extensions.pax;
    if let Some(name) = pax.get("GNU.sparse.name").or(pax.get("path")) {
        return name.to_vec();
    }
    extensions
        .long_name
        .clone()
        .unwrap_or_else(|| header.path_bytes().into_owned())
}

fn link_of(header: &Header, extensions: &Extensions) -> Vec<u8> {
    if let Some(link) = extensions.pax.get("linkpath") {
        return link.to_vec();
    }
    let short = || header.link_name_bytes().unwrap_or_default().into_owned();
    extensions.long_link.clone().unwrap_or_else(short)
}

fn id(pax: Option<u64>, header: io::Result<u64>) -> Result<u32, Error> {
    let id = pax.map_or(header, Ok).map_err(malformed)?;
    u32::try_from(id).map_err(|_| Error::Malformed(format!("owner {id} is out of range")))
}

fn mtime(header: &Header, pax: &Records) -> (i64, u32) {
    let in_header = || {
        header
            .mtime()
            .ok()
            .and_then(|time| i64::try_from(time).ok())
    };
    let time = pax.get("mtime").and_then(pax::parse_time);
    let (seconds, nanoseconds) = time.unwrap_or_else(|| (in_header().unwrap_or(0), 0));
    // Neither squashfs nor every file system knows times before 1970.
    if seconds < 0 {
        (0, 0)
    } else {
        (seconds, nanoseconds)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn malformed(error: io::Error) -> Error {
    Error::Malformed(error.to_string())
}

fn truncated() -> Error {
    Error::Malformed("it ends in the middle of a member".to_owned())
}
