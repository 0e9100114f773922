//! The objects of images on disk: complete or absent, named by their SHA-256.
//!
//! [`upload`] writes one, [`read`] gives the bytes of an image.

pub mod read;
pub mod upload;

use std::path::{Path, PathBuf};

use cooperage_protocol::Digest;

/// The folder of objects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Uses (and makes when needed) the folder `root`, and removes what broken uploads left.
    pub fn open(root: &Path) -> std::io::Result<Self> {
        let store = Self {
            root: root.to_owned(),
        };
        std::fs::create_dir_all(store.uploads())?;
        for leftover in std::fs::read_dir(store.uploads())? {
            std::fs::remove_file(leftover?.path())?;
        }
        Ok(store)
    }

    /// Where an object lies, whether it is there or not.
    pub fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("sha256").join(&hex[..2]).join(&hex[2..])
    }

    fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }
}
