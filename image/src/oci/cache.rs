//! Where downloaded blobs are kept: files named by their digest, shared by all processes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::digest::Digest;
use super::manifest::Descriptor;
use crate::error::Error;

/// The cache of blobs.
///
/// An entry appears by renaming, complete and verified, so that processes need no locks: the worst
/// is that two of them download the same blob.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    blobs: PathBuf,
}

impl Cache {
    /// Opens the cache below a folder.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let blobs = folder.join("blobs").join("sha256");
        fs::create_dir_all(&blobs).map_err(Error::io("making the folder", &blobs))?;
        Ok(Self { blobs })
    }

    /// A blob that is there and intact. A damaged one is removed.
    pub(super) fn find(&self, blob: &Descriptor) -> Result<Option<PathBuf>, Error> {
        let path = self.path(&blob.digest);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(Error::io("opening", &path))?,
        };
        let digest = digest_of(file).map_err(Error::io("reading", &path))?;
        if digest == blob.digest {
            return Ok(Some(path));
        }
        tracing::warn!(path = %path.display(), "cached blob is damaged and will be fetched again");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("removing", &path)(error))
            }
            _ => Ok(None),
        }
    }

    /// A file to download into.
    pub(super) fn temporary(&self) -> Result<NamedTempFile, Error> {
        tempfile::Builder::new()
            .prefix(".partial-")
            .tempfile_in(&self.blobs)
            .map_err(Error::io("making a file in", &self.blobs))
    }

    /// Gives a verified download its name.
    pub(super) fn keep(&self, file: NamedTempFile, digest: &Digest) -> Result<PathBuf, Error> {
        let path = self.path(digest);
        let kept = file.persist(&path).map_err(|error| error.error);
        kept.map_err(Error::io("writing", &path))?;
        Ok(path)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }
}

fn digest_of(mut file: File) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::finish(hash)),
            count => hash.update(&buffer[..count]),
        }
    }
}
