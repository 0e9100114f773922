//! What does a pack hold, and where in its data?
//!
//! An index lists the entries of a layer in the order in which the layer has them, so that packs
//! can be put over each other as layers are.

use crate::layer::Xattrs;
use crate::squashfs::device::Device;
use crate::squashfs::writer::data::{File, FileId, Fragment};

/// What a pack holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(super) form: Form,
    pub(super) entries: Vec<Entry>,
    /// Contents of files; places are relative to the data.
    pub(super) files: Vec<File>,
    pub(super) fragments: Vec<Fragment>,
    pub(super) data: DataFile,
}

/// What all packs of one image have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// Number of the compressor.
    pub(super) compressor: u16,
    /// Bytes of content that are compressed together.
    pub(super) block_size: u32,
}

/// The file in which the blocks lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DataFile {
    pub(super) sha256: [u8; 32],
    /// A multiple of 4096.
    pub(super) size: u64,
}

/// An entry of a layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Without `.`, `..` and slashes at its ends; empty for the root.
    pub(super) path: Vec<u8>,
    pub(super) change: Change,
}

/// What an entry does to the layers below.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Puts something in its place.
    Put(Attributes, Kind),
    /// Gives something another name.
    Link(Vec<u8>),
    /// Removes what is in its place.
    WhiteOut,
    /// Removes what is in the folder.
    Empty,
}

/// What entries have whatever they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: u32,
    /// Sorted by name.
    pub(super) xattrs: Xattrs,
}

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File(FileId),
    Symlink(Vec<u8>),
    Character(Device),
    Block(Device),
    Fifo,
}
