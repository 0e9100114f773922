//! How does the stream of a layer become a pack?

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::index::{Attributes, Change, DataFile, Entry, Form, Index, Kind};
use super::{DATA, INDEX, Pack};
use crate::engine::Cancel;
use crate::error::Error;
use crate::layer::{self, Archive, Member, MemberKind, Run, Whiteout, Xattrs};
use crate::sandbox::Failure;
use crate::squashfs::Packing;
use crate::squashfs::device::Device;
use crate::squashfs::writer::data::{ContentHash, DataWriter};
use crate::squashfs::writer::output::Output;
use crate::squashfs::writer::{self, check_name, check_target};

/// Larger than any file of a file system in use.
const LARGEST_FILE: u64 = 1 << 44;
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

fn write_index(index: &Index, path: &Path) -> Result<(), Error> {
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
    let mut archive = Archive::new(io::BufReader::with_capacity(BUFFER, layer));
    let mut entries = Vec::new();

    let mut data = DataWriter::start(&mut output, &options)?.except(contents_of(recording.below));
    while let Some(member) = archive.next()? {
        entries.extend(entry(member, &mut archive, &mut data, recording.cancel)?);
    }
    let data = data.finish()?;
    // What follows the end belongs to the stream, and whoever writes it expects it to be read.
    archive.drain()?;
    Ok(Index {
        form: Form {
            compressor: options.compression.id(),
            block_size: options.block_size,
        },
        entries,
        files: data.files,
        fragments: data.fragments,
        data: DataFile {
            sha256: [0; 32],
            size: output.pad()?,
        },
    })
}

fn contents_of(packs: &[Pack]) -> HashSet<ContentHash> {
    let files = packs.iter().flat_map(|pack| &pack.index.files);
    let stored = files.filter(|file| file.size > 0 && file.is_stored());
    stored.map(|file| file.hash).collect()
}

fn entry<R: Read, W: Write>(
    member: Member,
    archive: &mut Archive<R>,
    data: &mut DataWriter<'_, '_, W>,
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
            let kind = kind(member, archive, data, cancel)?;
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

fn kind<R: Read, W: Write>(
    member: Member,
    archive: &mut Archive<R>,
    data: &mut DataWriter<'_, '_, W>,
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
            Kind::File(data.store(&mut content, member.size)?)
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

/// Why a layer became no pack.
enum Problem {
    Layer(layer::Error),
    Writer(writer::Error),
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
    fn into_error(self, data: &Path) -> Error {
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
        }
    }
}

/// What the archive said before it was read through `Read`.
fn layer_error(source: io::Error) -> layer::Error {
    source.downcast().unwrap_or_else(layer::Error::Read)
}
