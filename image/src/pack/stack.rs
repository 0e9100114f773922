//! Which tree do packs make that lie over each other?
//!
//! The rules are those by which layers are unpacked, see [`crate::layer`]: the same names lead
//! through the same symbolic links, whiteouts spare what their own layer made, and hard links may
//! come before what they link to.

use std::collections::{HashMap, HashSet};

use super::Pack;
use super::index::{Attributes, Change, Entry, Kind};
use crate::layer::{Error, split};
use crate::squashfs::writer::data::{ContentHash, File, FileId};
use crate::squashfs::writer::tree::{self, Content, Node, NodeId, Tree};
use crate::squashfs::writer::xattr::AttributeSets;

/// As many as Linux follows.
const MOST_LINKS: u32 = 40;

/// The tree of some packs.
#[derive(Debug, Default)]
pub(super) struct Stack<'p> {
    pub(super) tree: Tree,
    pub(super) attributes: AttributeSets,
    /// Contents of all packs; files of the tree refer to them by their place here.
    pub(super) contents: Vec<Place<'p>>,
    /// The first place of every content that is stored.
    stored: HashMap<ContentHash, FileId>,
    /// Names that the uppermost layer made, if it has whiteouts that spare them.
    made: Option<HashSet<(NodeId, Box<[u8]>)>>,
}

/// A content of a pack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'p> {
    /// The pack, by its place in the stack.
    pub(super) pack: usize,
    pub(super) file: &'p File,
}

/// A name in a folder.
type Name<'n> = (NodeId, &'n [u8]);

/// What becomes of folders that a path leads through and that are not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Leave,
}

impl<'p> Stack<'p> {
    /// Puts packs over each other, the lowest first. No time is later than `latest`.
    pub(super) fn of(packs: &'p [Pack], latest: u32) -> Result<Self, Error> {
        let mut stack = Self::default();
        for (number, pack) in packs.iter().enumerate() {
            let first = stack.contents.len();
            stack.add_contents(number, pack);
            stack.add_entries(&pack.index.entries, first, latest)?;
        }
        Ok(stack)
    }

    fn add_contents(&mut self, number: usize, pack: &'p Pack) {
        for file in &pack.index.files {
            if file.size > 0 && file.is_stored() {
                let id = FileId(self.contents.len());
                self.stored.entry(file.hash).or_insert(id);
            }
            self.contents.push(Place { pack: number, file });
        }
    }

    fn add_entries(&mut self, entries: &[Entry], first: usize, latest: u32) -> Result<(), Error> {
        let spares = |entry: &Entry| matches!(entry.change, Change::WhiteOut | Change::Empty);
        self.made = entries.iter().any(spares).then(HashSet::new);
        let mut waiting = Vec::new();
        for entry in entries {
            let path = &entry.path;
            match &entry.change {
                Change::WhiteOut => self.white_out(path)?,
                Change::Empty => self.empty(path)?,
                Change::Link(target) if !self.link(path, target)? => waiting.push((path, target)),
                Change::Link(_) => {}
                Change::Put(attributes, kind) => {
                    let attributes = self.attributes(attributes, latest)?;
                    let content = self.content(path, kind, first)?;
                    self.put(
                        path,
                        Node {
                            attributes,
                            content,
                        },
                    )?;
                }
            }
        }
        for (path, target) in waiting {
            if !self.link(path, target)? {
                let target = String::from_utf8_lossy(target);
                let reason = format!("is a hard link to `{target}`, which does not exist");
                return Err(Error::entry(path, reason));
            }
        }
        Ok(())
    }

    fn attributes(
        &mut self,
        attributes: &Attributes,
        latest: u32,
    ) -> Result<tree::Attributes, Error> {
        let set = self.attributes.intern(&attributes.xattrs);
        Ok(tree::Attributes {
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            modified: attributes.modified.min(latest),
            set: set.map_err(|error| Error::Malformed(error.to_string()))?,
        })
    }

    /// What lies where the same content was stored first, in this pack or below.
    fn content(&self, path: &[u8], kind: &Kind, first: usize) -> Result<Content, Error> {
        Ok(match kind {
            Kind::Directory => Content::directory(),
            Kind::File(file) => {
                let id = FileId(first + file.0);
                let place = self.contents.get(id.0);
                let file = place
                    .ok_or_else(|| Error::entry(path, "has no content"))?
                    .file;
                let stored = self.stored.get(&file.hash).copied();
                if file.size > 0 && stored.is_none() {
                    return Err(Error::entry(path, "has content that no pack holds"));
                }
                Content::File(stored.filter(|_| file.size > 0).unwrap_or(id))
            }
            Kind::Symlink(target) => Content::Symlink(target.as_slice().into()),
            Kind::Character(device) => Content::Character(*device),
            Kind::Block(device) => Content::Block(*device),
            Kind::Fifo => Content::Fifo,
        })
    }

    fn put(&mut self, path: &[u8], node: Node) -> Result<(), Error> {
        let is_folder = matches!(node.content, Content::Directory(_));
        let Some((folder, name)) = self.place(path)? else {
            if !is_folder {
                return Err(Error::entry(path, "would replace the root folder"));
            }
            self.tree.set_attributes(NodeId::ROOT, node.attributes);
            return Ok(());
        };
        match self.tree.child(folder, name) {
            Some(existing) if is_folder && self.tree.is_directory(existing) => {
                self.tree.set_attributes(existing, node.attributes);
            }
            _ => {
                self.tree.add(folder, name, node);
            }
        }
        self.mark_made(folder, name);
        Ok(())
    }

    /// Tells whether the target was there.
    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<bool, Error> {
        let Some(node) = self.find(target)? else {
            return Ok(false);
        };
        if self.tree.is_directory(node) {
            return Err(Error::entry(path, "is a hard link to a folder"));
        }
        let Some((folder, name)) = self.place(path)? else {
            return Err(Error::entry(path, "would replace the root folder"));
        };
        if self.tree.child(folder, name) != Some(node) {
            self.tree.remove(folder, name);
            // The target may have been below the folder that the link replaces.
            if self.find(target)? != Some(node) {
                return Ok(false);
            }
            self.tree.rename(folder, name, node);
        }
        self.mark_made(folder, name);
        Ok(true)
    }

    fn white_out(&mut self, path: &[u8]) -> Result<(), Error> {
        if let Some((folder, name)) = self.existing(path)? {
            self.remove(folder, name);
        }
        Ok(())
    }

    fn empty(&mut self, path: &[u8]) -> Result<(), Error> {
        let folder = match self.find(path)? {
            Some(node) if self.tree.is_directory(node) => node,
            _ => return Ok(()),
        };
        self.remove_content(folder);
        Ok(())
    }

    /// Removes what lower layers put there, and tells whether nothing is left.
    fn remove(&mut self, folder: NodeId, name: &[u8]) -> bool {
        let Some(node) = self.tree.child(folder, name) else {
            return true;
        };
        let is_filled = self.tree.is_directory(node) && !self.remove_content(node);
        if is_filled || self.is_made(folder, name) {
            return false;
        }
        self.tree.remove(folder, name);
        true
    }

    /// Tells whether the folder is empty afterwards.
    fn remove_content(&mut self, folder: NodeId) -> bool {
        let mut all_gone = true;
        for name in self.tree.names(folder) {
            all_gone &= self.remove(folder, &name);
        }
        all_gone
    }

    fn mark_made(&mut self, folder: NodeId, name: &[u8]) {
        if let Some(made) = &mut self.made {
            made.insert((folder, name.into()));
        }
    }

    fn is_made(&self, folder: NodeId, name: &[u8]) -> bool {
        let made = self.made.as_ref();
        made.is_some_and(|made| made.contains(&(folder, name.into())))
    }

    /// The place of a path whose folders are made if need be; nothing for the root.
    fn place<'n>(&mut self, path: &'n [u8]) -> Result<Option<Name<'n>>, Error> {
        let (parent, name) = split(path);
        if name.is_empty() {
            return Ok(None);
        }
        let folder = self.walk(parent, Missing::Make)?;
        let folder =
            folder.ok_or_else(|| Error::entry(path, "lies in something that is not a folder"))?;
        Ok(Some((folder, name)))
    }

    /// The place of a path, if its folder is there.
    fn existing<'n>(&mut self, path: &'n [u8]) -> Result<Option<Name<'n>>, Error> {
        let (parent, name) = split(path);
        let folder = self.walk(parent, Missing::Leave)?;
        Ok(folder.map(|folder| (folder, name)))
    }

    /// What has a path; a symbolic link at its end is not followed.
    fn find(&mut self, path: &[u8]) -> Result<Option<NodeId>, Error> {
        if path.is_empty() {
            return Ok(Some(NodeId::ROOT));
        }
        let place = self.existing(path)?;
        Ok(place.and_then(|(folder, name)| self.tree.child(folder, name)))
    }

    /// The folder that a path leads to, all symbolic links followed; none leads out of the tree.
    fn walk(&mut self, path: &[u8], missing: Missing) -> Result<Option<NodeId>, Error> {
        let mut folder = NodeId::ROOT;
        let mut names = Vec::new();
        let mut links = 0;
        push_names(&mut names, path);
        while let Some(name) = names.pop() {
            match &*name {
                b"" | b"." => continue,
                b".." => {
                    folder = self.tree.parent(folder);
                    continue;
                }
                _ => {}
            }
            let Some(child) = self.tree.child(folder, &name) else {
                if missing == Missing::Leave {
                    return Ok(None);
                }
                let made = self.tree.add_folder(folder, &name);
                self.mark_made(folder, &name);
                folder = made;
                continue;
            };
            match &self.tree.node(child).content {
                Content::Directory(_) => folder = child,
                Content::Symlink(_) if links == MOST_LINKS => {
                    return Err(Error::entry(path, "lies behind too many symbolic links"));
                }
                Content::Symlink(target) => {
                    links += 1;
                    if target.starts_with(b"/") {
                        folder = NodeId::ROOT;
                    }
                    push_names(&mut names, target);
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(folder))
    }
}

/// Puts the names of a path on a pile, the first uppermost.
fn push_names(names: &mut Vec<Box<[u8]>>, path: &[u8]) {
    let parts = path.split(|byte| *byte == b'/');
    names.extend(parts.rev().map(Into::into));
}
