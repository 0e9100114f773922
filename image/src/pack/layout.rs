//! What is an image's file made of?

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Which bytes of which objects an image's file is made of, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The pieces, one behind the other.
    pub extents: Vec<Extent>,
    /// The objects that they are pieces of, each once.
    pub objects: Vec<Object>,
}

/// A piece of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// SHA-256 of the object.
    pub object: [u8; 32],
    /// Where the piece begins in the object.
    pub offset: u64,
    /// Its length in bytes, which is not zero.
    pub length: u64,
}

/// Bytes that images have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// SHA-256 of all of it.
    pub sha256: [u8; 32],
    /// Its size in bytes.
    pub size: u64,
    /// Where it is.
    pub bytes: ObjectBytes,
}

/// Where the bytes of an object are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectBytes {
    /// A file of these bytes.
    File(PathBuf),
    /// They are few.
    Memory(Arc<[u8]>),
}

/// Digests of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Its MD5.
    pub md5: [u8; 16],
}

impl Layout {
    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.extents.iter().map(|extent| extent.length).sum()
    }

    /// Digests of the file, for which all of it is read.
    pub fn digests(&self) -> Result<Digests, Error> {
        let (sha256, md5) = thread::scope(|scope| {
            let sha256 = scope.spawn(|| self.hash::<Sha256>());
            (sha256.join(), self.hash::<Md5>())
        });
        let sha256 = sha256.map_err(|_| Error::Internal("hashing panicked".to_owned()))?;
        Ok(Digests {
            sha256: sha256?.finalize().into(),
            md5: md5?.finalize().into(),
        })
    }

    fn hash<D: Digest>(&self) -> Result<D, Error> {
        let mut hash = Hashing(D::new());
        let copied = self.copy_to(&mut hash);
        copied.map_err(Error::io("reading", "the parts of an image"))?;
        Ok(hash.0)
    }

    /// Reads the objects that are files, and removes those whose bytes are not what they were: the next
    /// build makes them again. Gives their places.
    pub fn remove_damaged(&self) -> Result<Vec<PathBuf>, Error> {
        let mut removed = Vec::new();
        for object in &self.objects {
            let ObjectBytes::File(path) = &object.bytes else {
                continue;
            };
            let sha256 = sha256_of(path).map_err(Error::io("reading", path))?;
            if sha256 != object.sha256 {
                fs::remove_file(path).map_err(Error::io("removing", path))?;
                removed.push(path.clone());
            }
        }
        Ok(removed)
    }

    /// Writes the file. Where both are files the kernel copies, and file systems that can share
    /// bytes between files do.
    pub fn copy_to(&self, out: &mut impl Write) -> io::Result<()> {
        for extent in &self.extents {
            let found = self.objects.iter().find(|it| it.sha256 == extent.object);
            let object = found.ok_or(io::ErrorKind::NotFound)?;
            let copied = match &object.bytes {
                ObjectBytes::File(path) => {
                    let mut file = File::open(path)?;
                    file.seek(SeekFrom::Start(extent.offset))?;
                    io::copy(&mut file.take(extent.length), out)?
                }
                ObjectBytes::Memory(bytes) => {
                    let mut bytes = Cursor::new(bytes);
                    bytes.set_position(extent.offset);
                    io::copy(&mut bytes.take(extent.length), out)?
                }
            };
            if copied != extent.length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

impl Object {
    /// An object of few bytes.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self {
            sha256: Sha256::digest(&bytes).into(),
            size: bytes.len() as u64,
            bytes: ObjectBytes::Memory(bytes.into()),
        }
    }
}

/// SHA-256 of a file.
pub(super) fn sha256_of(path: &Path) -> io::Result<[u8; 32]> {
    let mut hash = Hashing(Sha256::new());
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hash.0.finalize().into())
}

/// Hashes what is written to it.
struct Hashing<D>(D);

impl<D: Digest> Write for Hashing<D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
