//! What kind of image a path leads to.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::base::{Kind, find_tree};
use crate::error::Error;
use crate::metadata::OciConfig;

/// An image that can be run.
#[derive(Debug)]
pub struct Image {
    /// Its path, without links.
    pub path: PathBuf,
    /// What it is called inside.
    pub name: OsString,
    pub(super) form: Form,
    /// The configuration of the Docker or OCI image that it was made from.
    pub(super) config: Option<OciConfig>,
}

/// What form an image has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// A folder.
    Folder,
    /// A file with a squashfs.
    Squashfs {
        /// Where the squashfs begins.
        offset: u64,
    },
    /// A file with something that has to be unpacked.
    Other,
}

impl Image {
    /// Finds out what a path leads to.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let real = fs::canonicalize(path).map_err(Error::io("opening", path))?;
        if real.is_dir() {
            return Ok(Self {
                name: name(&real),
                path: real,
                form: Form::Folder,
                config: None,
            });
        }
        let file = File::open(&real).map_err(Error::io("opening", path))?;
        let (tree, config) = find_tree(&file, &path.display().to_string())?;
        let form = match tree.kind {
            Kind::Squashfs => Form::Squashfs {
                offset: tree.offset,
            },
            Kind::Ext3 => Form::Other,
        };
        Ok(Self {
            name: name(&real),
            path: real,
            form,
            config,
        })
    }

    /// Another name for every state of the file: what was made of it is never used for another.
    pub(super) fn key(&self) -> Result<String, Error> {
        let file = File::open(&self.path).map_err(Error::io("opening", &self.path))?;
        let metadata = file.metadata().map_err(Error::io("reading", &self.path))?;
        let mut hash = Sha256::new();
        for number in [
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.mtime().cast_unsigned(),
            metadata.mtime_nsec().cast_unsigned(),
            metadata.ctime().cast_unsigned(),
            metadata.ctime_nsec().cast_unsigned(),
        ] {
            hash.update(number.to_le_bytes());
        }
        // The head of a SIF holds its id and its table.
        let mut head = vec![0; 32 << 10];
        let count = file
            .read_at(&mut head, 0)
            .map_err(Error::io("reading", &self.path))?;
        hash.update(&head[..count]);
        Ok(hex::encode(hash.finalize()))
    }
}

fn name(path: &Path) -> OsString {
    path.file_name().unwrap_or_default().to_owned()
}
