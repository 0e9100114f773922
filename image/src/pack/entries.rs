//! Which entries has a layer?

use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use super::index::{Attributes, Change, Entry, Kind};
use crate::engine::Cancel;
use crate::error::Error;
use crate::layer::{self, Archive, Member, MemberKind, Run, Whiteout, Xattrs};
use crate::sandbox::Failure;
use crate::squashfs::device::Device;
use crate::squashfs::writer::data::{DataWriter, FileId};
use crate::squashfs::writer::{self, check_name, check_target};

/// Larger than any file of a file system in use.
const LARGEST_FILE: u64 = 1 << 44;
const BUFFER: usize = 1 << 20;

/// Where the contents of a layer's files go.
pub(super) trait Contents {
    /// Takes the next content, of `size` bytes.
    fn store(&mut self, content: &mut impl Read, size: u64) -> Result<FileId, Problem>;
}

impl<W: Write> Contents for DataWriter<'_, '_, W> {
    fn store(&mut self, content: &mut impl Read, size: u64) -> Result<FileId, Problem> {
        Ok(DataWriter::store(self, content, size)?)
    }
}

/// The entries of a layer's tar stream, which is read to its end.
pub(super) fn read(
    layer: impl Read,
    contents: &mut impl Contents,
    cancel: &Cancel,
) -> Result<Vec<Entry>, Problem> {
    let mut archive = Archive::new(BufReader::with_capacity(BUFFER, layer));
    let mut entries = Vec::new();
    while let Some(member) = archive.next()? {
        entries.extend(entry(member, &mut archive, contents, cancel)?);
    }
    // What follows the end belongs to the stream, and whoever writes it expects it to be read.
    archive.drain()?;
    Ok(entries)
}

fn entry<R: Read>(
    member: Member,
    archive: &mut Archive<R>,
    contents: &mut impl Contents,
    cancel: &Cancel,
) -> Result<Option<Entry>, Problem> {
    let path = layer::clean(&member.path);
    let whiteout = if member.is_literal {
        None
    } else {
        layer::parse_whiteout(&path)?
    };
    let (path, change) = match whiteout {
        Some(Whiteout::Bookkeeping) => return Ok(None),
        Some(Whiteout::Path(path)) => (path, Change::WhiteOut),
        Some(Whiteout::Opaque(folder)) => (folder, Change::Empty),
        None if member.kind == MemberKind::HardLink => {
            (path, Change::Link(layer::clean(&member.link)))
        }
        None => {
            check_name(&path)?;
            let attributes = attributes(&member);
            let kind = kind(member, archive, contents, cancel)?;
            (path, Change::Put(attributes, kind))
        }
    };
    Ok(Some(Entry { path, change }))
}

fn attributes(member: &Member) -> Attributes {
    let mode = match member.kind {
        MemberKind::Symlink => 0o777, // Linux knows no other
        _ => u16::try_from(member.mode & 0o7777).unwrap_or_default(),
    };
    let mut xattrs: Xattrs = member
        .xattrs
        .iter()
        .filter(|(name, _)| layer::is_kept_xattr(name))
        .cloned()
        .collect();
    xattrs.sort();
    Attributes {
        mode,
        uid: member.uid,
        gid: member.gid,
        modified: u32::try_from(member.mtime.0.max(0)).unwrap_or(u32::MAX),
        xattrs,
    }
}

fn kind<R: Read>(
    member: Member,
    archive: &mut Archive<R>,
    contents: &mut impl Contents,
    cancel: &Cancel,
) -> Result<Kind, Problem> {
    let (major, minor) = member.device;
    let device = Device { major, minor };
    Ok(match member.kind {
        MemberKind::Directory => Kind::Directory,
        MemberKind::Symlink => {
            check_target(&member.path, &member.link)?;
            Kind::Symlink(member.link)
        }
        MemberKind::CharacterDevice => Kind::Character(device),
        MemberKind::BlockDevice => Kind::Block(device),
        MemberKind::Fifo | MemberKind::HardLink => Kind::Fifo,
        MemberKind::File if member.size > LARGEST_FILE => {
            let reason = "is larger than files can be";
            return Err(layer::Error::entry(&member.path, reason).into());
        }
        MemberKind::File => {
            let mut content = Content {
                archive,
                runs: member.runs.unwrap_or_else(|| whole(member.size)),
                at: 0,
                size: member.size,
                cancel,
            };
            content.runs.retain(|run| run.length > 0);
            content.runs.reverse();
            Kind::File(contents.store(&mut content, member.size)?)
        }
    })
}

fn whole(size: u64) -> Vec<Run> {
    vec![Run {
        offset: 0,
        length: size,
    }]
}

/// The content of a file, with zeros where it has holes.
struct Content<'a, R> {
    archive: &'a mut Archive<R>,
    /// Where data lies that was not read, the first last.
    runs: Vec<Run>,
    at: u64,
    size: u64,
    cancel: &'a Cancel,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("build was cancelled"));
        }
        let most =
            |rest: u64| usize::try_from(rest).map_or(buffer.len(), |it| it.min(buffer.len()));
        let count = match self.runs.last_mut() {
            Some(run) if run.offset == self.at => {
                let most = most(run.length);
                let count = self.archive.read(&mut buffer[..most]);
                let count = count.map_err(io::Error::other)?;
                run.offset += count as u64;
                run.length -= count as u64;
                if run.length == 0 {
                    self.runs.pop();
                }
                count
            }
            next => {
                let end = next.map_or(self.size, |run| run.offset);
                let count = most(end - self.at);
                buffer[..count].fill(0);
                count
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

/// Why a layer became no pack.
pub(super) enum Problem {
    Layer(layer::Error),
    Writer(writer::Error),
    /// Nobody tells any more where the contents lie.
    Placeless,
}

impl From<layer::Error> for Problem {
    fn from(error: layer::Error) -> Self {
        Self::Layer(error)
    }
}

impl From<writer::Error> for Problem {
    fn from(error: writer::Error) -> Self {
        match error {
            writer::Error::Read(source) => Self::Layer(layer_error(source)),
            error => Self::Writer(error),
        }
    }
}

impl Problem {
    pub(super) fn into_error(self, data: &Path) -> Error {
        match self {
            Self::Layer(error) => Failure::from(error).into(),
            Self::Writer(writer::Error::Write(source)) => Error::io("writing", data)(source),
            Self::Writer(writer::Error::Thread(_)) => {
                Error::Internal("the packer panicked".to_owned())
            }
            Self::Writer(error) => Error::Base {
                message: format!("files cannot be packed: {error}"),
                help: None,
            },
            Self::Placeless => Error::Internal("contents lie nowhere".to_owned()),
        }
    }
}

/// What the archive said before it was read through `Read`.
fn layer_error(source: io::Error) -> layer::Error {
    source.downcast().unwrap_or_else(layer::Error::Read)
}
