//! Which names and attributes does the file system have?

use std::collections::BTreeMap;

use super::data::FileId;
use super::error::Error;
use super::path::names;
use super::xattr::SetId;
use crate::squashfs::device::Device;
use crate::squashfs::format::{Kind, LONGEST_TARGET};

/// Who owns an inode, and what else is the same for all kinds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    /// Permissions with the set-id and sticky bits.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: u32,
    /// Extended attributes.
    pub(super) set: Option<SetId>,
}

impl Attributes {
    /// Of a folder that the stream does not mention.
    const UNMENTIONED: Self = Self {
        mode: 0o755,
        uid: 0,
        gid: 0,
        modified: 0,
        set: None,
    };
}

/// What an inode is.
#[derive(Debug)]
pub(super) enum Content {
    Directory(Directory),
    File(FileId),
    Symlink(Box<[u8]>),
    Block(Device),
    Character(Device),
    Fifo,
}

/// Names in a folder, in the order of their bytes, which is also the order of squashfs.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) parent: NodeId,
    pub(super) entries: BTreeMap<Box<[u8]>, NodeId>,
}

impl Content {
    pub(super) fn directory() -> Self {
        Self::Directory(Directory::default())
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Directory(_) => Kind::Directory,
            Self::File(_) => Kind::File,
            Self::Symlink(_) => Kind::Symlink,
            Self::Block(_) => Kind::Block,
            Self::Character(_) => Kind::Character,
            Self::Fifo => Kind::Fifo,
        }
    }

    pub(super) fn symlink(path: &[u8], target: &[u8]) -> Result<Self, Error> {
        if target.is_empty() {
            return Err(Error::entry(path, "a symbolic link needs a target"));
        }
        if target.len() > LONGEST_TARGET {
            return Err(Error::entry(
                path,
                "target of a link must not be longer than 4095 bytes",
            ));
        }
        Ok(Self::Symlink(target.into()))
    }
}

/// An inode in a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct NodeId(usize);

impl NodeId {
    /// The folder in which all others are.
    pub(super) const ROOT: Self = Self(0);

    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// An inode.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) attributes: Attributes,
    pub(super) content: Content,
}

/// All inodes; hard links are several names of one.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node {
            attributes: Attributes::UNMENTIONED,
            content: Content::directory(),
        };
        Self { nodes: vec![root] }
    }
}

impl Tree {
    /// Gives a path an inode. What had the path before is replaced; a folder keeps what is in it.
    pub(super) fn insert(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        content: Content,
    ) -> Result<(), Error> {
        let Some((parent, name)) = self.place(path)? else {
            return self.replace_folder(NodeId::ROOT, path, attributes, &content);
        };
        match self.child(parent, name) {
            Some(known) if self.is_directory(known) && !self.is_empty(known) => {
                self.replace_folder(known, path, attributes, &content)
            }
            _ => {
                self.add(
                    parent,
                    name,
                    Node {
                        attributes,
                        content,
                    },
                );
                Ok(())
            }
        }
    }

    /// Gives an inode that has a path another one.
    pub(super) fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Error> {
        let node = self
            .find(&names(target)?)
            .ok_or_else(|| Error::entry(path, "a hard link must come after what it links to"))?;
        if self.is_directory(node) {
            return Err(Error::entry(path, "a hard link must not lead to a folder"));
        }
        let (parent, name) = self
            .place(path)?
            .filter(|(parent, name)| self.child(*parent, name).is_none_or(|it| self.is_empty(it)))
            .ok_or_else(|| Error::entry(path, "a hard link cannot take the place of a folder"))?;
        self.entries_mut(parent).insert(name.into(), node);
        Ok(())
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn is_directory(&self, id: NodeId) -> bool {
        matches!(self.nodes[id.0].content, Content::Directory(_))
    }

    /// The folder for a path's last name, made if need be, and that name; nothing for the root.
    fn place<'p>(&mut self, path: &'p [u8]) -> Result<Option<(NodeId, &'p [u8])>, Error> {
        let names = names(path)?;
        let Some((name, parents)) = names.split_last() else {
            return Ok(None);
        };
        let mut parent = NodeId::ROOT;
        for name in parents {
            parent = self
                .child(parent, name)
                .unwrap_or_else(|| self.add_folder(parent, name));
            if !self.is_directory(parent) {
                return Err(Error::entry(path, "lies in something that is not a folder"));
            }
        }
        Ok(Some((parent, name)))
    }

    fn find(&self, names: &[&[u8]]) -> Option<NodeId> {
        names
            .iter()
            .try_fold(NodeId::ROOT, |parent, name| self.child(parent, name))
    }

    fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        match &self.nodes[parent.0].content {
            Content::Directory(directory) => directory.entries.get(name).copied(),
            _ => None,
        }
    }

    /// Whether nothing is lost when the inode loses its name.
    fn is_empty(&self, id: NodeId) -> bool {
        match &self.nodes[id.0].content {
            Content::Directory(directory) => id != NodeId::ROOT && directory.entries.is_empty(),
            _ => true,
        }
    }

    fn replace_folder(
        &mut self,
        id: NodeId,
        path: &[u8],
        attributes: Attributes,
        content: &Content,
    ) -> Result<(), Error> {
        if !matches!(content, Content::Directory(_)) {
            return Err(Error::entry(
                path,
                "cannot take the place of a folder that is not empty",
            ));
        }
        self.nodes[id.0].attributes = attributes;
        Ok(())
    }

    fn add_folder(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        let attributes = Attributes::UNMENTIONED;
        self.add(
            parent,
            name,
            Node {
                attributes,
                content: Content::directory(),
            },
        )
    }

    fn add(&mut self, parent: NodeId, name: &[u8], mut node: Node) -> NodeId {
        if let Content::Directory(directory) = &mut node.content {
            directory.parent = parent;
        }
        let id = NodeId(self.nodes.len());
        self.nodes.push(node);
        self.entries_mut(parent).insert(name.into(), id);
        id
    }

    fn entries_mut(&mut self, id: NodeId) -> &mut BTreeMap<Box<[u8]>, NodeId> {
        match &mut self.nodes[id.0].content {
            Content::Directory(directory) => &mut directory.entries,
            _ => unreachable!("only folders get entries"),
        }
    }
}
