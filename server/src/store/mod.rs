//! The objects of images on disk: complete or absent, named by their SHA-256.

use std::path::{Path, PathBuf};

use cooperage_protocol::Digest;

/// The folder of objects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Uses (and makes when needed) the folder `root`.
    pub fn open(root: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(root)?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// Where an object lies, whether it is there or not.
    pub fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("sha256").join(&hex[..2]).join(&hex[2..])
    }
}
