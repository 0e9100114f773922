//! Which files has the tree, and in which order do they stand in the archive?
//!
//! A folder stands before what is in it. The walk goes a step at a time and holds no more than the
//! folders it is in.

use tar::EntryType;

use super::data::{self, Budget, Content, Piece, Plan};
use super::directory::Listing;
use super::image::Image;
use super::inode::{Body, File, Inode, Listed};
use super::place::Places;
use super::queue::Queue;
use super::seen::Seen;
use super::xattr;
use crate::engine::Cancel;
use crate::error::{Error, FailureKind};
use crate::layer::Xattrs;
use crate::layer::header::{self, Entry};
use crate::squashfs::format::Position;
use crate::squashfs::{Bounds, damaged};

/// No file system lets a path become longer than this many names.
const DEEPEST: usize = 2048;
/// What a file system needs for a file without content: an inode and a name.
const ENTRY: u64 = 512;

/// The walk through an image.
pub(super) struct Walk {
    pub(super) image: Image,
    cancel: Cancel,
    stage: Stage,
    /// The folders that are open, each in the one before.
    folders: Vec<Folder>,
    /// The path of the last of them.
    path: Vec<u8>,
    seen: Seen,
    budget: Budget,
    disk: Disk,
    places: Places,
}

enum Stage {
    Begin,
    Names,
    /// A file of that many bytes.
    Content(Content, u64),
    End,
}

struct Folder {
    listing: Listing,
    /// Bytes of the path of the folder that it is in.
    parent: usize,
}

/// Disk that the tree takes.
struct Disk {
    taken: u64,
    most: Option<u64>,
}

impl Walk {
    pub(super) fn new(image: Image, bounds: Bounds<'_>, places: Places) -> Self {
        Self {
            seen: Seen::new(image.superblock.inodes),
            budget: Budget::of(&image),
            image,
            cancel: bounds.cancel.clone(),
            stage: Stage::Begin,
            folders: Vec::new(),
            path: Vec::new(),
            disk: Disk {
                taken: 0,
                most: bounds.limits.disk,
            },
            places,
        }
    }

    /// Puts the next piece of the archive into the queue; tells whether there was one.
    pub(super) fn step(&mut self, queue: &mut Queue) -> Result<bool, Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match &mut self.stage {
            Stage::Begin => {
                self.root(queue)?;
                self.stage = Stage::Names;
            }
            Stage::Names => self.name(queue)?,
            Stage::Content(content, size) => {
                if let Some(piece) = content.next(&mut self.image)? {
                    self.piece(queue, piece)?;
                } else {
                    queue.push_bytes(header::padding(*size).to_vec());
                    self.stage = Stage::Names;
                }
            }
            Stage::End => return Ok(false),
        }
        Ok(true)
    }

    fn root(&mut self, queue: &mut Queue) -> Result<(), Error> {
        let position = Position::of(self.image.superblock.root);
        let inode = Inode::read(&mut self.image, position)?;
        let Body::Directory(listed) = inode.body else {
            return Err(damaged("its root is not a folder"));
        };
        self.seen.meet(inode.number, 1, b"")?;
        self.folder(queue, &inode, listed, 0)
    }

    fn name(&mut self, queue: &mut Queue) -> Result<(), Error> {
        let Some(folder) = self.folders.last_mut() else {
            queue.push_bytes(header::END.to_vec());
            self.stage = Stage::End;
            return Ok(());
        };
        let Some(entry) = folder.listing.next(&mut self.image)? else {
            self.path.truncate(folder.parent);
            self.folders.pop();
            return Ok(());
        };
        let inode = Inode::read(&mut self.image, entry.inode)?;
        let parent = self.path.len();
        if parent > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(&entry.name);
        self.file(queue, &inode, parent)
    }

    fn file(&mut self, queue: &mut Queue, inode: &Inode, parent: usize) -> Result<(), Error> {
        self.disk.take(ENTRY)?;
        let is_folder = matches!(inode.body, Body::Directory(_));
        let names = if is_folder { 1 } else { inode.links };
        if let Some(first) = self.seen.meet(inode.number, names, &self.path)? {
            self.link(queue, inode, (EntryType::Link, &first))?;
        } else {
            match inode.body {
                Body::Directory(listed) => return self.folder(queue, inode, listed, parent),
                Body::File(ref file) => self.regular(queue, inode, file)?,
                Body::Symlink(ref target) => {
                    self.link(queue, inode, (EntryType::Symlink, target))?;
                }
                Body::Block(device) => {
                    self.special(
                        queue,
                        inode,
                        (EntryType::Block, (device.major, device.minor)),
                    )?;
                }
                Body::Character(device) => {
                    self.special(
                        queue,
                        inode,
                        (EntryType::Char, (device.major, device.minor)),
                    )?;
                }
                Body::Fifo => self.special(queue, inode, (EntryType::Fifo, (0, 0)))?,
                // Who listened on a socket is not part of an image.
                Body::Socket => {}
            }
        }
        self.path.truncate(parent);
        Ok(())
    }

    fn folder(
        &mut self,
        queue: &mut Queue,
        inode: &Inode,
        listed: Listed,
        parent: usize,
    ) -> Result<(), Error> {
        if self.folders.len() == DEEPEST {
            return Err(damaged("its folders are nested too deep"));
        }
        self.special(queue, inode, (EntryType::Directory, (0, 0)))?;
        let listing = Listing::open(&mut self.image, listed)?;
        self.folders.push(Folder { listing, parent });
        Ok(())
    }

    fn regular(&mut self, queue: &mut Queue, inode: &Inode, file: &File) -> Result<(), Error> {
        let plan = data::plan(&mut self.image, file, &mut self.budget, &self.cancel)?;
        let Plan { content, pieces } = plan;
        self.places.tell(&mut self.image, &content)?;
        let data: u64 = match &pieces {
            Some(pieces) => pieces.iter().map(|(_, length)| length).sum(),
            None => file.size,
        };
        self.disk.take(data)?;
        let map = pieces.map(|pieces| header::sparse_map(&pieces, file.size));
        let size = data + map.as_ref().map_or(0, |map| map.len() as u64);
        let xattrs = self.xattrs(inode)?;
        let entry = Entry {
            size,
            real_size: map.is_some().then_some(file.size),
            ..entry(&self.path, EntryType::Regular, inode, &xattrs)
        };
        push(queue, &entry)?;
        queue.push_bytes(map.unwrap_or_default());
        self.stage = Stage::Content(content, size);
        Ok(())
    }

    fn piece(&mut self, queue: &mut Queue, piece: Piece) -> Result<(), Error> {
        match piece {
            Piece::Block(stored) => queue.push_block(stored),
            Piece::Tail { fragment, part } => {
                let find = || data::fragment(&mut self.image, fragment);
                queue.push_tail(fragment, part, find)
            }
            Piece::Hole(length) => {
                queue.push_zeros(length);
                Ok(())
            }
        }
    }

    fn link(
        &mut self,
        queue: &mut Queue,
        inode: &Inode,
        (kind, link): (EntryType, &[u8]),
    ) -> Result<(), Error> {
        let xattrs = self.xattrs(inode)?;
        let entry = Entry {
            link,
            ..entry(&self.path, kind, inode, &xattrs)
        };
        push(queue, &entry)
    }

    fn special(
        &mut self,
        queue: &mut Queue,
        inode: &Inode,
        (kind, device): (EntryType, (u32, u32)),
    ) -> Result<(), Error> {
        let xattrs = self.xattrs(inode)?;
        let entry = Entry {
            device,
            ..entry(&self.path, kind, inode, &xattrs)
        };
        push(queue, &entry)
    }

    fn xattrs(&mut self, inode: &Inode) -> Result<Xattrs, Error> {
        match inode.attributes {
            Some(set) => xattr::read(&mut self.image, set),
            None => Ok(Xattrs::new()),
        }
    }
}

impl Disk {
    /// An image that is small may be without end when it is unpacked.
    fn take(&mut self, bytes: u64) -> Result<(), Error> {
        self.taken = self.taken.saturating_add(bytes);
        match self.most {
            Some(most) if self.taken > most => Err(Error::Limit {
                kind: FailureKind::Disk,
                message: "image takes more space than the disk limit allows".to_owned(),
                section: None,
            }),
            _ => Ok(()),
        }
    }
}

fn entry<'a>(path: &'a [u8], kind: EntryType, inode: &Inode, xattrs: &'a Xattrs) -> Entry<'a> {
    Entry {
        path,
        kind,
        link: b"",
        mode: inode.mode.into(),
        uid: inode.uid,
        gid: inode.gid,
        modified: inode.modified.into(),
        device: (0, 0),
        xattrs,
        size: 0,
        real_size: None,
    }
}

fn push(queue: &mut Queue, entry: &Entry<'_>) -> Result<(), Error> {
    let header = entry.encode();
    queue.push_bytes(header.map_err(Error::io("reading", "an image"))?);
    Ok(())
}
