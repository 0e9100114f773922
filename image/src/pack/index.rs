//! What does a pack hold, and where in its data?
//!
//! An index lists the entries of a layer in the order in which the layer has them, so that packs
//! can be put over each other as layers are. Its file is a mark, the SHA-256 of all that follows,
//! and the rest in the form of [`postcard`].

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::layer::Xattrs;
use crate::squashfs::device::Device;
use crate::squashfs::writer::data::{File, FileId, Fragment};

/// Changes with everything that makes packs or indexes differ from what they were before.
pub(super) const VERSION: u32 = 1;
const MARK: &[u8; 8] = b"cooppack";
const HASH: usize = 32;

/// What a pack holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(super) form: Form,
    pub(super) entries: Vec<Entry>,
    /// Contents of files; places are relative to the data.
    pub(super) files: Vec<File>,
    pub(super) fragments: Vec<Fragment>,
    pub(super) data: DataFile,
}

/// What all packs of one image have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Form {
    /// Number of the compressor.
    pub(super) compressor: u16,
    /// Bytes of content that are compressed together.
    pub(super) block_size: u32,
}

/// The file in which the blocks lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DataFile {
    pub(super) sha256: [u8; 32],
    /// A multiple of 4096.
    pub(super) size: u64,
}

/// An entry of a layer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Without `.`, `..` and slashes at its ends; empty for the root.
    #[serde(with = "serde_bytes")]
    pub(super) path: Vec<u8>,
    pub(super) change: Change,
}

/// What an entry does to the layers below.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    /// Puts something in its place.
    Put(Attributes, Kind),
    /// Gives something another name.
    Link(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Removes what is in its place.
    WhiteOut,
    /// Removes what is in the folder.
    Empty,
}

/// What entries have whatever they are.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attributes {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: u32,
    /// Sorted by name.
    pub(super) xattrs: Xattrs,
}

/// What an entry is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Directory,
    File(FileId),
    Symlink(#[serde(with = "serde_bytes")] Vec<u8>),
    Character(Device),
    Block(Device),
    Fifo,
}

impl Index {
    /// Reads an index; nothing if it is damaged or of another version.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let bytes = fs::read(path)?;
        Ok(Self::decode(&bytes))
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let head = [MARK.as_slice(), &[0; HASH]].concat();
        let mut bytes = postcard::to_extend(&(VERSION, self), head)?;
        let (head, body) = bytes.split_at_mut(MARK.len() + HASH);
        head[MARK.len()..].copy_from_slice(&Sha256::digest(&*body));
        Ok(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (hash, body) = bytes.strip_prefix(MARK)?.split_at_checked(HASH)?;
        if *hash != *Sha256::digest(body) {
            return None;
        }
        let (version, body) = postcard::take_from_bytes::<u32>(body).ok()?;
        if version != VERSION {
            return None;
        }
        postcard::from_bytes(body).ok()
    }
}
