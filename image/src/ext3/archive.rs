//! Writes what was found as a tar archive.

use std::io::{self, Write};

use tar::{EntryType, Header};

use super::inode::Inode;
use crate::error::Error;
use crate::layer::push_record;

const BLOCK: usize = 512;

/// Why an archive is not complete.
#[derive(Debug)]
pub(super) enum Failure {
    /// The image is not as it should be.
    Image(Error),
    /// Who reads the archive had enough of it.
    NobodyListens,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Image(error)
    }
}

/// A file as it stands in the archive.
pub(super) struct Entry<'a> {
    /// Empty for the root directory.
    pub(super) path: &'a [u8],
    pub(super) kind: EntryType,
    pub(super) link: &'a [u8],
    pub(super) inode: &'a Inode,
    /// How many bytes follow.
    pub(super) size: u64,
    /// The length of a file with holes, whose map precedes its content.
    pub(super) real_size: Option<u64>,
}

/// An archive that is being written.
pub(super) struct Archive<W> {
    out: W,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out }
    }

    pub(super) fn header(&mut self, entry: &Entry<'_>) -> Result<(), Failure> {
        let extended = extended(entry);
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(extended.len() as u64);
        header.set_cksum();
        self.write(header.as_bytes())?;
        self.write(&extended)?;
        self.pad(extended.len() as u64)?;
        self.write(plain(entry).as_bytes())
    }

    /// A piece of the content of the last entry.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(nobody_listens)
    }

    /// Fills the last block of a content of that many bytes.
    pub(super) fn pad(&mut self, size: u64) -> Result<(), Failure> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
        self.write(&[0; BLOCK][..(BLOCK - over) % BLOCK])
    }

    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.write(&[0; 2 * BLOCK])?;
        self.out.flush().map_err(nobody_listens)
    }
}

/// A pipe breaks when its other end is closed, and in no other way.
fn nobody_listens(_: io::Error) -> Failure {
    Failure::NobodyListens
}

fn extended(entry: &Entry<'_>) -> Vec<u8> {
    let mut records = Vec::new();
    let name = written_name(entry);
    if let Some(real_size) = entry.real_size {
        push_record(&mut records, b"GNU.sparse.major", b"1");
        push_record(&mut records, b"GNU.sparse.minor", b"0");
        push_record(&mut records, b"GNU.sparse.name", &name);
        let real_size = real_size.to_string();
        push_record(&mut records, b"GNU.sparse.realsize", real_size.as_bytes());
    }
    push_record(&mut records, b"path", &name);
    if !entry.link.is_empty() {
        push_record(&mut records, b"linkpath", entry.link);
    }
    // What does not fit the octal fields stands here alone.
    for (key, value) in [
        ("uid", entry.inode.uid),
        ("gid", entry.inode.gid),
        ("size", entry.size),
        ("mtime", entry.inode.modified),
    ] {
        push_record(&mut records, key.as_bytes(), value.to_string().as_bytes());
    }
    for (name, value) in &entry.inode.xattrs {
        let key = [b"SCHILY.xattr.", name.as_slice()].concat();
        push_record(&mut records, &key, value);
    }
    records
}

fn written_name(entry: &Entry<'_>) -> Vec<u8> {
    match entry.path {
        b"" => b"./".to_vec(),
        path if entry.kind == EntryType::Directory => [path, b"/"].concat(),
        path => path.to_vec(),
    }
}

fn plain(entry: &Entry<'_>) -> Header {
    let mut header = Header::new_ustar();
    let fields = header.as_old_mut();
    let name = written_name(entry);
    for (field, value) in [
        (&mut fields.name, name.as_slice()),
        (&mut fields.linkname, entry.link),
    ] {
        let length = value.len().min(field.len());
        field[..length].copy_from_slice(&value[..length]);
    }
    header.set_entry_type(entry.kind);
    header.set_mode(entry.inode.mode);
    header.set_uid(entry.inode.uid);
    header.set_gid(entry.inode.gid);
    header.set_mtime(entry.inode.modified);
    header.set_size(entry.size);
    if matches!(entry.kind, EntryType::Char | EntryType::Block)
        && let Some(fields) = header.as_ustar_mut()
    {
        let (major, minor) = entry.inode.device();
        fields.set_device_major(major);
        fields.set_device_minor(minor);
    }
    header.set_cksum();
    header
}
