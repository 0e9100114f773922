//! The objects of images on disk: complete or absent, named by their SHA-256.
//!
//! [`upload`] writes one that a build sends, [`incoming`] one that is pushed; [`read`] gives the bytes of an image, [`sweep`] finds what is left over, [`damage`] what the disk forgot.

mod buffers;
pub(crate) mod damage;
pub(crate) mod incoming;
pub mod read;
pub(crate) mod sweep;
pub mod upload;

use std::io;
use std::path::{Path, PathBuf};

use cooperage_protocol::{BuildId, Digest};

/// The folder of objects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    buffers: buffers::Buffers,
}

impl Store {
    /// Uses (and makes when needed) the folder `root`.
    pub fn open(root: &Path) -> io::Result<Self> {
        let store = Self {
            root: root.to_owned(),
            buffers: buffers::Buffers::default(),
        };
        std::fs::create_dir_all(store.objects())?;
        std::fs::create_dir_all(store.uploads())?;
        std::fs::create_dir_all(store.incoming())?;
        Ok(store)
    }

    /// Where an object lies, whether it is there or not.
    pub fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.objects().join(&hex[..2]).join(&hex[2..])
    }

    /// Whether an object of that size is there.
    pub async fn has(&self, digest: Digest, size: u64) -> io::Result<bool> {
        match tokio::fs::metadata(self.path(digest)).await {
            Ok(found) => Ok(found.is_file() && found.len() == size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an object, if it is there.
    pub async fn remove(&self, digest: Digest) -> io::Result<()> {
        remove(&self.path(digest)).await
    }

    fn objects(&self) -> PathBuf {
        self.root.join("sha256")
    }

    fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Where the bytes of an object are collected that a build sends.
    fn upload(&self, build: BuildId, digest: Digest) -> PathBuf {
        self.uploads().join(format!("{build}.{}", digest.hex()))
    }
}

async fn remove(path: &Path) -> io::Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
