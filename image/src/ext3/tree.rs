//! Goes through all folders, the names of each in their order.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use tar::EntryType;

use super::archive::{Archive, Failure};
use super::blocks::{self, Run};
use super::directory;
use super::image::{Image, damaged};
use super::inode::{Inode, Kind};
use crate::engine::Cancel;
use crate::error::Error;
use crate::layer::header::{Entry, sparse_map};

const ROOT: u32 = 2;
/// No file system lets a path become longer than this many names.
const DEEPEST: usize = 2048;
const LONGEST_LINK: u64 = 4096;
const PIECE: u64 = 256 << 10;

/// The walk through a file system, written down as it goes.
pub(super) struct Walk<'a, W> {
    image: &'a Image<'a>,
    cancel: &'a Cancel,
    archive: Archive<W>,
    folders: HashSet<u32>,
    /// The first name of every file that has several.
    names: HashMap<u32, Vec<u8>>,
}

impl<'a, W: Write> Walk<'a, W> {
    pub(super) fn new(image: &'a Image<'a>, cancel: &'a Cancel, archive: Archive<W>) -> Self {
        Self {
            image,
            cancel,
            archive,
            folders: HashSet::from([ROOT]),
            names: HashMap::new(),
        }
    }

    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.archive.finish()
    }

    pub(super) fn whole(&mut self) -> Result<(), Failure> {
        let root = Inode::read(self.image, ROOT)?;
        if root.kind != Kind::Folder {
            return Err(damaged("its root is not a folder").into());
        }
        self.write(&[], EntryType::Directory, &root, b"")?;
        let mut open = vec![(Vec::new(), self.entries(&root)?)];
        while let Some((folder, names)) = open.last_mut() {
            let Some((name, number)) = names.pop() else {
                open.pop();
                continue;
            };
            let path = join(folder, &name);
            if let Some(inode) = self.entry(&path, number)? {
                if open.len() == DEEPEST {
                    return Err(damaged("its folders are nested too deep").into());
                }
                let names = self.entries(&inode)?;
                open.push((path, names));
            }
        }
        Ok(())
    }

    /// The last name first, to be taken from the end.
    fn entries(&self, folder: &Inode) -> Result<Vec<(Vec<u8>, u32)>, Error> {
        let mut entries = directory::entries(self.image, folder)?;
        entries.reverse();
        Ok(entries)
    }

    /// Writes one entry; gives the folder that is to be entered next.
    fn entry(&mut self, path: &[u8], number: u32) -> Result<Option<Inode>, Failure> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled.into());
        }
        let inode = Inode::read(self.image, number)?;
        if inode.kind == Kind::Folder {
            if !self.folders.insert(number) {
                return Err(damaged("a folder lies in two folders").into());
            }
            if path == b"lost+found" && directory::entries(self.image, &inode)?.is_empty() {
                return Ok(None);
            }
            self.write(path, EntryType::Directory, &inode, b"")?;
            return Ok(Some(inode));
        }
        // Who listened on a socket is not part of an image.
        if inode.kind == Kind::Socket {
            return Ok(None);
        }
        if inode.links > 1 {
            if let Some(first) = self.names.get(&number).cloned() {
                self.write(path, EntryType::Link, &inode, &first)?;
                return Ok(None);
            }
            self.names.insert(number, path.to_vec());
        }
        match inode.kind {
            Kind::File => self.file(path, &inode)?,
            Kind::Symlink => {
                let target = self.target(&inode)?;
                self.write(path, EntryType::Symlink, &inode, &target)?;
            }
            Kind::Fifo => self.write(path, EntryType::Fifo, &inode, b"")?,
            Kind::CharacterDevice => self.write(path, EntryType::Char, &inode, b"")?,
            Kind::BlockDevice => self.write(path, EntryType::Block, &inode, b"")?,
            Kind::Socket | Kind::Folder => {}
        }
        Ok(None)
    }

    fn write(
        &mut self,
        path: &[u8],
        kind: EntryType,
        inode: &Inode,
        link: &[u8],
    ) -> Result<(), Failure> {
        let device = match kind {
            EntryType::Char | EntryType::Block => inode.device(),
            _ => (0, 0),
        };
        self.archive.header(&Entry {
            link,
            device,
            ..entry(path, kind, inode)
        })
    }

    fn target(&self, inode: &Inode) -> Result<Vec<u8>, Error> {
        if inode.size == 0 || inode.size > LONGEST_LINK {
            return Err(damaged("a symbolic link is empty or too long"));
        }
        let size = usize::try_from(inode.size).unwrap_or_default();
        if size < inode.map.len() && !inode.has_extents {
            return Ok(inode.map[..size].to_vec());
        }
        let mut target = Vec::new();
        for run in blocks::runs(self.image, inode)? {
            for index in 0..run.count {
                target.extend(self.image.block(run.block + index)?);
            }
        }
        target.truncate(size);
        Ok(target)
    }

    fn file(&mut self, path: &[u8], inode: &Inode) -> Result<(), Failure> {
        let runs = blocks::runs(self.image, inode)?;
        let pieces: Vec<(u64, u64)> = runs.iter().map(|run| self.extent(*run, inode)).collect();
        let length: u64 = pieces.iter().map(|(_, length)| length).sum();
        let map = if length == inode.size {
            Vec::new()
        } else {
            sparse_map(&pieces, inode.size)
        };
        let size = length + map.len() as u64;
        self.archive.header(&Entry {
            size,
            real_size: (!map.is_empty()).then_some(inode.size),
            ..entry(path, EntryType::Regular, inode)
        })?;
        self.archive.write(&map)?;
        for (run, (_, length)) in runs.iter().zip(pieces) {
            self.content(*run, length)?;
        }
        self.archive.pad(size)
    }

    /// Where a run lies in its file, in bytes, and how long it is there.
    fn extent(&self, run: Run, inode: &Inode) -> (u64, u64) {
        let start = run.at * self.image.block_size;
        let length = run.count * self.image.block_size;
        (start, length.min(inode.size.saturating_sub(start)))
    }

    fn content(&mut self, run: Run, length: u64) -> Result<(), Failure> {
        let mut buffer = vec![0; usize::try_from(PIECE).unwrap_or_default()];
        let mut done = 0;
        while done < length {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled.into());
            }
            let count = usize::try_from(PIECE.min(length - done)).unwrap_or_default();
            let block = run.block + done / self.image.block_size;
            self.image.read(block, &mut buffer[..count])?;
            self.archive.write(&buffer[..count])?;
            done += count as u64;
        }
        Ok(())
    }
}

fn entry<'a>(path: &'a [u8], kind: EntryType, inode: &'a Inode) -> Entry<'a> {
    Entry {
        path,
        kind,
        link: b"",
        mode: inode.mode,
        uid: inode.uid,
        gid: inode.gid,
        modified: inode.modified,
        device: (0, 0),
        xattrs: &inode.xattrs,
        size: 0,
        real_size: None,
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        name.to_vec()
    } else {
        [folder, b"/", name].concat()
    }
}
