//! Which names and attributes does the file system have?

use std::collections::BTreeMap;

use super::data::FileId;
use super::xattr::SetId;
use crate::squashfs::device::Device;
use crate::squashfs::format::Kind;

/// Who owns an inode, and what else is the same for all kinds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes {
    /// Permissions with the set-id and sticky bits.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: u32,
    /// Extended attributes.
    pub(crate) set: Option<SetId>,
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
pub(crate) enum Content {
    Directory(Directory),
    File(FileId),
    Symlink(Box<[u8]>),
    Block(Device),
    Character(Device),
    Fifo,
}

/// Names in a folder, in the order of their bytes, which is also the order of squashfs.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(super) parent: NodeId,
    pub(super) entries: BTreeMap<Box<[u8]>, NodeId>,
}

impl Content {
    pub(crate) fn directory() -> Self {
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
}

/// An inode in a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(usize);

impl NodeId {
    /// The folder in which all others are.
    pub(crate) const ROOT: Self = Self(0);

    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// An inode.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) attributes: Attributes,
    pub(crate) content: Content,
}

/// All inodes; hard links are several names of one.
#[derive(Debug)]
pub(crate) struct Tree {
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
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The folder that a folder is in; the root is in itself.
    pub(crate) fn parent(&self, id: NodeId) -> NodeId {
        match &self.nodes[id.0].content {
            Content::Directory(directory) => directory.parent,
            _ => NodeId::ROOT,
        }
    }

    /// All names in a folder.
    pub(crate) fn names(&self, id: NodeId) -> Vec<Box<[u8]>> {
        match &self.nodes[id.0].content {
            Content::Directory(directory) => directory.entries.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn set_attributes(&mut self, id: NodeId, attributes: Attributes) {
        self.nodes[id.0].attributes = attributes;
    }

    /// Takes a name away, with all that has no other.
    pub(crate) fn remove(&mut self, parent: NodeId, name: &[u8]) {
        self.entries_mut(parent).remove(name);
    }

    /// Gives an inode a name, which what had it before loses.
    pub(crate) fn rename(&mut self, parent: NodeId, name: &[u8], node: NodeId) {
        self.entries_mut(parent).insert(name.into(), node);
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn is_directory(&self, id: NodeId) -> bool {
        matches!(self.nodes[id.0].content, Content::Directory(_))
    }

    /// What has a name in a folder.
    pub(crate) fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        match &self.nodes[parent.0].content {
            Content::Directory(directory) => directory.entries.get(name).copied(),
            _ => None,
        }
    }

    /// A folder of which nothing is known but its name.
    pub(crate) fn add_folder(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
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

    /// Gives an inode that is not in the tree a name, which what had it before loses.
    pub(crate) fn add(&mut self, parent: NodeId, name: &[u8], mut node: Node) -> NodeId {
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
