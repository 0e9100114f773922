//! What a tree is supposed to be where the file system could not represent it.
//!
//! A build without root has few user ids and may not make devices. The real operation is tried
//! first; what the kernel refuses is written down here and comes back when the tree is packed.
//! Records belong to inodes, not to names: a file keeps its owner when a script renames it, and a
//! file that took over a name does not inherit anything.
//!
//! A tree that no longer changes is a folder below overlays, which have its inode numbers as long
//! as a file is not copied up: see [`Ledger::below_overlays`]. Files and folders that are recorded
//! carry their number in an attribute, by which a copy is known.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use rustix::fs::{AtFlags, Statx, StatxFlags, statx};
use serde::{Deserialize, Serialize};

use super::Xattrs;

/// The attribute in which a recorded file has its inode number.
pub(super) const MARK: &str = "user.cooperage.inode";

/// The number by which an overlay's root directory is known; no file has it.
const ROOT: u64 = 0;

/// What the file system could not represent, by inode number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    records: BTreeMap<u64, Record>,
}

/// What one file is supposed to be; everything that is not here is as the file system says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The stand-in's inode number.
    inode: u64,
    /// When the stand-in was made, where the file system tells: inode numbers are used again, but
    /// for those of trees that stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    birth: Option<(i64, u32)>,
    /// Owner and group that the stand-in has: a script that changes them wins.
    held_by: (u32, u32),
    /// Owner and group that it should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, u32)>,
    /// The device that an empty file stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Extended attributes that it should have, name and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A device file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which kind.
    pub kind: DeviceKind,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// The two kinds of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A character device.
    Character,
    /// A block device.
    Block,
}

/// Facts that are to be recorded about one file.
#[derive(Debug, Default)]
pub(super) struct Unrepresented {
    pub(super) owner: Option<(u32, u32)>,
    pub(super) device: Option<Device>,
    pub(super) xattrs: Xattrs,
}

impl Ledger {
    /// Reads a ledger: one JSON object a line.
    pub fn read(source: impl BufRead) -> io::Result<Self> {
        let mut ledger = Self::default();
        for line in source.lines() {
            let record: Record = serde_json::from_str(&line?)?;
            ledger.records.insert(record.inode, record);
        }
        Ok(ledger)
    }

    /// Writes the ledger: one JSON object a line.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        for record in self.records.values() {
            serde_json::to_writer(&mut out, record)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// The ledger of a tree that will not be changed any more, for overlays over it; `root` is the
    /// inode number of its root directory.
    ///
    /// As long as the tree is there no other file of its file system gets the number of one of its
    /// files, so the number alone tells which it is. An overlay's root has a number of its own.
    #[must_use]
    pub fn below_overlays(mut self, root: u64) -> Self {
        for record in self.records.values_mut() {
            record.birth = None;
        }
        if let Some(record) = self.records.get(&root).cloned() {
            let inode = ROOT;
            self.records.insert(inode, Record { inode, ..record });
        }
        self
    }

    /// Whether everything could be represented.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many files are recorded.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// What is recorded about a file, if it still is the file that was recorded.
    pub(super) fn find(&self, file: &Statx) -> Option<&Record> {
        self.find_as(file.stx_ino, file)
    }

    /// What is recorded about the root directory.
    pub(super) fn find_root(&self, root: &Statx) -> Option<&Record> {
        self.find(root).or_else(|| self.find_as(ROOT, root))
    }

    /// What is recorded about the file of which a file has the mark.
    pub(super) fn find_marked(&self, mark: &[u8], file: &Statx) -> Option<&Record> {
        let inode = std::str::from_utf8(mark).ok()?.parse().ok()?;
        self.find_as(inode, file)
    }

    fn find_as(&self, inode: u64, file: &Statx) -> Option<&Record> {
        let record = self.records.get(&inode)?;
        let same = record
            .birth
            .is_none_or(|birth| Some(birth) == self::birth(file))
            && record.held_by == (file.stx_uid, file.stx_gid);
        let replaced = record.device.is_some() && !is_empty_file(file);
        (same && !replaced).then_some(record)
    }

    /// Replaces what is recorded about a file; tells whether there is anything.
    pub(super) fn record(&mut self, file: &Statx, facts: Unrepresented) -> bool {
        let Unrepresented {
            owner,
            device,
            xattrs,
        } = facts;
        if owner.is_none() && device.is_none() && xattrs.is_empty() {
            self.records.remove(&file.stx_ino);
            return false;
        }
        let record = Record {
            inode: file.stx_ino,
            birth: birth(file),
            held_by: (file.stx_uid, file.stx_gid),
            owner,
            device,
            xattrs,
        };
        self.records.insert(file.stx_ino, record);
        true
    }

    /// Forgets a file whose last name is removed.
    pub(super) fn forget(&mut self, inode: u64) {
        self.records.remove(&inode);
    }
}

/// The status of a file as the ledger needs it.
pub(super) fn status(
    folder: impl std::os::fd::AsFd,
    name: impl rustix::path::Arg,
) -> rustix::io::Result<Statx> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    statx(
        folder,
        name,
        AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH,
        wanted,
    )
}

fn birth(file: &Statx) -> Option<(i64, u32)> {
    let known = file.stx_mask & StatxFlags::BTIME.bits() != 0;
    known.then_some((file.stx_btime.tv_sec, file.stx_btime.tv_nsec))
}

fn is_empty_file(file: &Statx) -> bool {
    u32::from(file.stx_mode) & 0o170_000 == 0o100_000 && file.stx_size == 0
}
