//! Writes the tree as a tar archive, with everything an image holds of a file.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use serde::{Deserialize, Serialize};
use tar::{Builder, EntryType, Header};

use crate::sandbox::Failure;

/// What is known of a file besides what the file system could hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permissions, where they could not be set.
    pub mode: Option<u32>,
    /// The device that an empty file stands for.
    pub device: Option<Device>,
    /// Extended attributes that could not be set.
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// What the file looked like when this was recorded: it counts only while it still does.
    pub stamp: Option<Stamp>,
}

/// A device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its kind.
    pub kind: DeviceKind,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// Kinds of device nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// Read byte by byte.
    Character,
    /// Read block by block.
    Block,
}

/// Tells whether a file was changed or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Number of the inode.
    pub inode: u64,
    /// Time of its last change, in seconds.
    pub changed: i64,
    /// And the nanoseconds.
    pub changed_nanoseconds: i64,
}

impl Stamp {
    /// The stamp of a file as it is.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            changed: metadata.ctime(),
            changed_nanoseconds: metadata.ctime_nsec(),
        }
    }
}

/// Streams the tree below the root directory.
pub(super) fn stream(
    newest: Option<i64>,
    recorded: &BTreeMap<Vec<u8>, Recorded>,
    output: impl Write,
) -> Result<(), Failure> {
    let mut builder = Builder::new(output);
    builder.sparse(false);
    let device = fs::metadata("/")
        .map_err(Failure::io("reading", "/"))?
        .dev();
    let mut stream = Stream {
        builder,
        newest,
        recorded,
        device,
        links: HashMap::new(),
    };
    stream.entry(Path::new("/"))?;
    stream.folder(Path::new("/"))?;
    let mut output = stream
        .builder
        .into_inner()
        .map_err(Failure::io("writing", "the archive of the tree"))?;
    output
        .flush()
        .map_err(Failure::io("writing", "the archive of the tree"))
}

struct Stream<'a, W: Write> {
    builder: Builder<W>,
    newest: Option<i64>,
    recorded: &'a BTreeMap<Vec<u8>, Recorded>,
    device: u64,
    /// First name of each file that has several.
    links: HashMap<u64, PathBuf>,
}

impl<W: Write> Stream<'_, W> {
    fn folder(&mut self, folder: &Path) -> Result<(), Failure> {
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut paths: Vec<PathBuf> = entries
            .map_err(Failure::io("reading", folder))?
            .into_iter()
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        for path in paths {
            if self.entry(&path)? {
                self.folder(&path)?;
            }
        }
        Ok(())
    }

    /// Writes one entry; tells whether it is a folder to go into.
    fn entry(&mut self, path: &Path) -> Result<bool, Failure> {
        let metadata = fs::symlink_metadata(path).map_err(Failure::io("reading", path))?;
        // Sockets have no place in an archive, and another file system is none of the image's.
        if metadata.file_type().is_socket() || metadata.dev() != self.device {
            return Ok(false);
        }
        self.write(path, &metadata)
            .map_err(Failure::io("packing", path))?;
        Ok(metadata.is_dir())
    }

    fn write(&mut self, path: &Path, metadata: &Metadata) -> io::Result<()> {
        let name = path.strip_prefix("/").unwrap_or(path);
        let recorded = self.recorded.get(name.as_os_str().as_bytes());
        let recorded = recorded.filter(|recorded| recorded.counts_for(metadata));
        let mut header = self.header(metadata, recorded);
        if let Some(first) = self.first_name(name, metadata) {
            header.set_entry_type(EntryType::Link);
            return self.builder.append_link(&mut header, name, first);
        }

        let xattrs = xattrs(path, metadata, recorded)?;
        let keys: Vec<(String, Vec<u8>)> = xattrs
            .into_iter()
            .map(|(key, value)| (format!("SCHILY.xattr.{key}"), value))
            .collect();
        if !keys.is_empty() {
            let records = keys
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_slice()));
            self.builder.append_pax_extensions(records)?;
        }
        let name = if name.as_os_str().is_empty() {
            Path::new("./")
        } else {
            name
        };
        match header.entry_type() {
            EntryType::Symlink => self
                .builder
                .append_link(&mut header, name, fs::read_link(path)?),
            EntryType::Regular => {
                header.set_size(metadata.len());
                let content = File::open(path)?.take(metadata.len());
                self.builder.append_data(&mut header, name, content)
            }
            _ => self.builder.append_data(&mut header, name, io::empty()),
        }
    }

    fn header(&self, metadata: &Metadata, recorded: Option<&Recorded>) -> Header {
        let mut header = Header::new_gnu();
        let modified = self
            .newest
            .map_or(metadata.mtime(), |newest| metadata.mtime().min(newest));
        header.set_size(0);
        header.set_mtime(u64::try_from(modified).unwrap_or(0));
        header.set_mode(
            recorded
                .and_then(|file| file.mode)
                .unwrap_or(metadata.mode())
                & 0o7777,
        );
        header.set_uid(recorded.map_or(metadata.uid(), |file| file.uid).into());
        header.set_gid(recorded.map_or(metadata.gid(), |file| file.gid).into());
        let device = recorded
            .and_then(|file| file.device)
            .or_else(|| own_device(metadata));
        match device {
            Some(device) => set_device(&mut header, device),
            None => header.set_entry_type(entry_type(metadata)),
        }
        header
    }

    fn first_name(&mut self, name: &Path, metadata: &Metadata) -> Option<PathBuf> {
        if metadata.nlink() < 2 || metadata.is_dir() {
            return None;
        }
        let first = self
            .links
            .entry(metadata.ino())
            .or_insert_with(|| name.to_owned());
        (first != name).then(|| first.clone())
    }
}

impl Recorded {
    fn counts_for(&self, metadata: &Metadata) -> bool {
        self.stamp.is_none_or(|stamp| stamp == Stamp::of(metadata))
    }
}

fn own_device(metadata: &Metadata) -> Option<Device> {
    let kind = metadata.file_type();
    let kind = match (kind.is_char_device(), kind.is_block_device()) {
        (true, _) => DeviceKind::Character,
        (_, true) => DeviceKind::Block,
        _ => return None,
    };
    let number = |part: u64| u32::try_from(part).unwrap_or(u32::MAX);
    let (major, minor) = (
        number(major(metadata.rdev())),
        number(minor(metadata.rdev())),
    );
    Some(Device { kind, major, minor })
}

fn set_device(header: &mut Header, device: Device) {
    header.set_entry_type(match device.kind {
        DeviceKind::Character => EntryType::Char,
        DeviceKind::Block => EntryType::Block,
    });
    if let Some(gnu) = header.as_gnu_mut() {
        gnu.set_device_major(device.major);
        gnu.set_device_minor(device.minor);
    }
}

fn entry_type(metadata: &Metadata) -> EntryType {
    let kind = metadata.file_type();
    if kind.is_dir() {
        EntryType::Directory
    } else if kind.is_symlink() {
        EntryType::Symlink
    } else if kind.is_fifo() {
        EntryType::Fifo
    } else {
        EntryType::Regular
    }
}

/// The attributes that an image keeps: squashfs knows no others, and runtimes heed no others.
fn xattrs(
    path: &Path,
    metadata: &Metadata,
    recorded: Option<&Recorded>,
) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut kept: BTreeMap<String, Vec<u8>> = recorded
        .map(|file| file.xattrs.iter().cloned().collect())
        .unwrap_or_default();
    if metadata.is_symlink() {
        return Ok(kept);
    }
    for name in xattr::list(path)? {
        let Some(name) = name.to_str().filter(|name| is_kept(name)) else {
            continue;
        };
        if let Some(value) = xattr::get(path, name)? {
            kept.insert(name.to_owned(), value);
        }
    }
    Ok(kept)
}

fn is_kept(name: &str) -> bool {
    let is_bookkeeping = name == "user.rootlesscontainers" || name.starts_with("user.overlay.");
    name == "security.capability" || name.starts_with("user.") && !is_bookkeeping
}
