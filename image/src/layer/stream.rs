//! How a finished tree becomes a tar for the squashfs packer, with the ledger's facts put back.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, OFlags, Statx};
use tar::EntryType;

use super::entry::Entry;
use super::error::Error;
use super::ledger::{self, Device, DeviceKind, Ledger, Record, status};
use super::upper::Upper;
use super::{Xattrs, header, is_kept_xattr, whiteout};

/// How a tree is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamOptions {
    /// Times after this one (in seconds since 1970) become this one, for images that can be
    /// reproduced.
    pub latest: Option<i64>,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeSummary {
    /// Files, folders, links and devices.
    pub entries: u64,
    /// Bytes of file content.
    pub bytes: u64,
    /// Sockets and other things that no image can hold.
    pub skipped: Vec<PathBuf>,
}

/// Writes the tree below `root` as a PAX tar, sorted by name.
///
/// What is mounted in the tree is not part of it: only the mount points are written.
pub fn stream_tree(
    root: &Path,
    ledger: &Ledger,
    out: impl Write,
    options: StreamOptions,
) -> Result<TreeSummary, Error> {
    let mut walk = Walk::new(root, ledger, out, options);
    walk.folder(b"")?;
    walk.finish()
}

/// Writes what the upper folder of an overlay changes as a layer, sorted by name: its files, and
/// whiteouts for what it hides of the folders below.
///
/// `merged` is the overlay itself: what it says of a file is what the image has.
pub fn stream_upper(
    upper: &Path,
    merged: &Path,
    ledger: &Ledger,
    out: impl Write,
    options: StreamOptions,
) -> Result<TreeSummary, Error> {
    let mut walk = Walk::new(merged, ledger, out, options);
    walk.upper = Some(Upper(upper));
    walk.folder(b"")?;
    walk.finish()
}

/// Writes files and folders of the tree below `root`, each with all that is in it. Paths have no
/// slash at their ends; an entry's name begins with the place of its path among them, from 0.
pub fn stream_files(
    root: &Path,
    paths: &[Vec<u8>],
    ledger: &Ledger,
    out: impl Write,
) -> Result<TreeSummary, Error> {
    let mut walk = Walk::new(root, ledger, out, StreamOptions::default());
    for (index, path) in paths.iter().enumerate() {
        // Each copy stands for itself, as those of `cp` do.
        walk.names.clear();
        walk.renamed = (path.clone(), index.to_string().into_bytes());
        walk.any(path)?;
    }
    walk.finish()
}

struct Walk<'a, W> {
    root: &'a Path,
    /// Where only what changed is, if nothing else is wanted.
    upper: Option<Upper<'a>>,
    ledger: &'a Ledger,
    out: W,
    options: StreamOptions,
    /// The device number of the root's file system.
    device: Option<(u32, u32)>,
    /// A path, and what it is called in the tar.
    renamed: (Vec<u8>, Vec<u8>),
    /// The first name of every file that has several.
    names: HashMap<u64, Vec<u8>>,
    summary: TreeSummary,
}

impl<'a, W: Write> Walk<'a, W> {
    fn new(root: &'a Path, ledger: &'a Ledger, out: W, options: StreamOptions) -> Self {
        Self {
            root,
            upper: None,
            ledger,
            out,
            options,
            device: None,
            renamed: (Vec::new(), Vec::new()),
            names: HashMap::new(),
            summary: TreeSummary::default(),
        }
    }

    fn finish(mut self) -> Result<TreeSummary, Error> {
        let end = self.out.write_all(&header::END);
        end.and_then(|()| self.out.flush())
            .map_err(Error::io("packing", b"/"))?;
        Ok(self.summary)
    }

    fn any(&mut self, path: &[u8]) -> Result<(), Error> {
        if let Some(upper) = self.upper
            && upper.hides(path)?
        {
            return self.whiteout(&whiteout::of(path));
        }
        let status = self.status(path)?;
        if file_type(&status) == FileType::Directory {
            self.folder(path)
        } else {
            self.entry(path, &status)
        }
    }

    fn folder(&mut self, path: &[u8]) -> Result<(), Error> {
        let status = self.status(path)?;
        let device = (status.stx_dev_major, status.stx_dev_minor);
        let is_mount = *self.device.get_or_insert(device) != device;
        self.entry(path, &status)?;
        if is_mount {
            return Ok(());
        }
        if let Some(upper) = self.upper
            && upper.replaces_content(path)?
        {
            self.whiteout(&whiteout::of_content(path))?;
        }
        for name in self.sorted_names(path)? {
            self.any(&super::tree::join(path, &name))?;
        }
        Ok(())
    }

    fn whiteout(&mut self, name: &[u8]) -> Result<(), Error> {
        self.summary.entries += 1;
        let written = header::whiteout(name).and_then(|header| self.out.write_all(&header));
        written.map_err(Error::io("packing", name))
    }

    fn entry(&mut self, path: &[u8], status: &Statx) -> Result<(), Error> {
        if let Some(first) = self.first_name(path, status) {
            let entry = Entry {
                link: first,
                ..Entry::plain(path, EntryType::Link, status)
            };
            return self.write_header(&entry);
        }
        let record = self.record(path, status)?;
        let xattrs = self.xattrs(path, record)?;
        let entry = Entry {
            record,
            xattrs,
            ..Entry::plain(path, EntryType::Directory, status)
        };
        let device = record.and_then(|record| record.device);
        match (device, file_type(status)) {
            (Some(device), _) => self.write_device(device, entry),
            (None, FileType::Directory) => self.write_header(&entry),
            (None, FileType::RegularFile) => self.write_file(entry),
            (None, FileType::Symlink) => {
                let link = self.link_text(path)?;
                self.write_header(&Entry {
                    kind: EntryType::Symlink,
                    link,
                    ..entry
                })
            }
            (None, FileType::Fifo) => self.write_header(&Entry {
                kind: EntryType::Fifo,
                ..entry
            }),
            (None, FileType::CharacterDevice) => {
                self.write_device(device_of(status, DeviceKind::Character), entry)
            }
            (None, FileType::BlockDevice) => {
                self.write_device(device_of(status, DeviceKind::Block), entry)
            }
            (None, _) => {
                self.summary
                    .skipped
                    .push(PathBuf::from(OsStr::from_bytes(path)));
                Ok(())
            }
        }
    }

    /// What is recorded of a file, also when an overlay copied it up since.
    fn record(&self, path: &[u8], status: &Statx) -> Result<Option<&'a Record>, Error> {
        let known = match path {
            b"" => self.ledger.find_root(status),
            _ => self.ledger.find(status),
        };
        let can_be_marked = [FileType::RegularFile, FileType::Directory];
        if known.is_some() || self.ledger.is_empty() || !can_be_marked.contains(&file_type(status))
        {
            return Ok(known);
        }
        match xattr::get(self.host_path(path), ledger::MARK) {
            Ok(mark) => Ok(mark.and_then(|mark| self.ledger.find_marked(&mark, status))),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(Error::io("reading attributes of", path)(error)),
        }
    }

    /// The name under which the file was written already, if it has several.
    fn first_name(&mut self, path: &[u8], status: &Statx) -> Option<Vec<u8>> {
        if file_type(status) == FileType::Directory || status.stx_nlink < 2 {
            return None;
        }
        let name = self.name_of(path);
        let first = self.names.entry(status.stx_ino);
        let first = first.or_insert_with(|| name.clone());
        (*first != name).then(|| first.clone())
    }

    fn write_device(&mut self, device: Device, entry: Entry<'_>) -> Result<(), Error> {
        let kind = match device.kind {
            DeviceKind::Character => EntryType::Char,
            DeviceKind::Block => EntryType::Block,
        };
        self.write_header(&Entry {
            kind,
            device: Some(device),
            ..entry
        })
    }

    fn write_file(&mut self, entry: Entry<'_>) -> Result<(), Error> {
        let path = entry.path;
        let size = entry.status.stx_size;
        let file = self.open(path)?;
        self.write_header(&Entry {
            kind: EntryType::Regular,
            size,
            ..entry
        })?;
        let copied = io::copy(&mut file.take(size), &mut self.out);
        if copied.map_err(Error::io("packing", path))? < size {
            return Err(Error::entry(path, "became shorter while it was packed"));
        }
        self.summary.bytes += size;
        self.out
            .write_all(header::padding(size))
            .map_err(Error::io("packing", path))
    }

    fn write_header(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        self.summary.entries += 1;
        let name = self.name_of(entry.path);
        let written = entry.write(&mut self.out, &name, self.options.latest);
        written.map_err(Error::io("packing", entry.path))
    }

    fn name_of(&self, path: &[u8]) -> Vec<u8> {
        let (from, to) = &self.renamed;
        let below = path.strip_prefix(from.as_slice()).unwrap_or(path);
        let below = below.strip_prefix(b"/").unwrap_or(below);
        if below.is_empty() {
            to.clone()
        } else {
            super::tree::join(to, below)
        }
    }

    /// Attributes that the image has: those on the file, and the ledger's.
    fn xattrs(&self, path: &[u8], record: Option<&Record>) -> Result<Xattrs, Error> {
        let file = self.host_path(path);
        let names = match xattr::list(&file) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                return Ok(ledgered(record));
            }
            Err(error) => return Err(Error::io("reading attributes of", path)(error)),
        };
        let mut found = ledgered(record);
        for name in names.filter(|name| is_kept_xattr(name.as_bytes())) {
            let value = xattr::get(&file, &name);
            let value = value.map_err(Error::io("reading attributes of", path))?;
            if found.iter().any(|(known, _)| known == name.as_bytes()) {
                continue;
            }
            found.extend(value.map(|value| (name.as_bytes().to_vec(), value)));
        }
        found.sort();
        Ok(found)
    }

    fn status(&self, path: &[u8]) -> Result<Statx, Error> {
        status(CWD, self.host_path(path)).map_err(Error::io("looking at", path))
    }

    fn sorted_names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let mut names = Vec::new();
        let folder = match self.upper {
            Some(upper) => upper.host_path(path),
            None => self.host_path(path),
        };
        for entry in fs::read_dir(folder).map_err(Error::io("listing", path))? {
            let entry = entry.map_err(Error::io("listing", path))?;
            names.push(entry.file_name().as_bytes().to_vec());
        }
        names.sort();
        Ok(names)
    }

    fn link_text(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        let target = fs::read_link(self.host_path(path)).map_err(Error::io("reading", path))?;
        Ok(target.as_os_str().as_bytes().to_vec())
    }

    fn open(&self, path: &[u8]) -> Result<File, Error> {
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(self.host_path(path));
        opened.map_err(Error::io("opening", path))
    }

    fn host_path(&self, path: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(path))
    }
}

fn ledgered(record: Option<&Record>) -> Xattrs {
    record
        .map(|record| record.xattrs.clone())
        .unwrap_or_default()
}

fn file_type(status: &Statx) -> FileType {
    FileType::from_raw_mode(u32::from(status.stx_mode))
}

fn device_of(status: &Statx, kind: DeviceKind) -> Device {
    Device {
        kind,
        major: status.stx_rdev_major,
        minor: status.stx_rdev_minor,
    }
}
