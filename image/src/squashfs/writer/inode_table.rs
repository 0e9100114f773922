//! How do the inode table and the directory table come about?
//!
//! Both are written at once: a folder's list says where the inodes in it are, and its own inode
//! says where the list is.

use super::Options;
use super::directory::{self, Child, Listing};
use super::error::Error;
use super::ids::Ids;
use super::inode::{Body, Inode};
use super::metadata::MetadataWriter;
use super::tables::Image;
use super::tree::{Content, Directory, NodeId};
use super::walk::Walk;
use crate::squashfs::format::Position;

/// Both tables, and what the others need to know of them.
pub(super) struct InodeTable {
    pub(super) inodes: Vec<u8>,
    pub(super) directories: Vec<u8>,
    /// Where each inode is, by number: 8 bytes for each.
    pub(super) references: Vec<u8>,
    pub(super) ids: Ids,
    pub(super) root: Position,
    /// The latest time of any inode.
    pub(super) latest: u32,
}

/// Makes both tables.
pub(super) fn build(image: &Image<'_>, options: &Options) -> Result<InodeTable, Error> {
    let (mut codec, mut directory_codec) = (options.codec()?, options.codec()?);
    let mut inodes = MetadataWriter::start(&mut codec);
    let mut directories = MetadataWriter::start(&mut directory_codec);
    let mut numbering = Numbering {
        walk: Walk::of(image.tree),
        positions: vec![Position::default(); image.tree.len()],
    };
    let mut references = Vec::new();
    let mut ids = Ids::default();
    let mut latest = 0;

    for index in 0..numbering.walk.order().len() {
        let id = numbering.walk.order()[index];
        let node = image.tree.node(id);
        let listing = match &node.content {
            Content::Directory(folder) => numbering.list(image, folder, &mut directories)?,
            _ => Listing::default(),
        };
        let position = inodes.position();
        numbering.positions[id.index()] = position;
        references.extend_from_slice(&position.reference().to_le_bytes());

        let inode = Inode {
            kind: node.content.kind(),
            number: numbering.walk.number(id),
            links: numbering.walk.links(id),
            user: ids.place(node.attributes.uid)?,
            group: ids.place(node.attributes.gid)?,
            attributes: &node.attributes,
            body: numbering.body(image, id, &listing),
        };
        inodes.write(&inode.encode()?);
        latest = latest.max(node.attributes.modified);
    }
    Ok(InodeTable {
        inodes: inodes.finish().stored,
        directories: directories.finish().stored,
        references,
        ids,
        root: numbering.positions[NodeId::ROOT.index()],
        latest,
    })
}

/// Numbers of all inodes, and places of those that are written.
struct Numbering {
    walk: Walk,
    positions: Vec<Position>,
}

impl Numbering {
    fn list(
        &self,
        image: &Image<'_>,
        folder: &Directory,
        table: &mut MetadataWriter<'_>,
    ) -> Result<Listing, Error> {
        let children = folder.entries.iter().map(|(name, id)| Child {
            name,
            kind: image.tree.node(*id).content.kind(),
            number: self.walk.number(*id),
            inode: self.positions[id.index()],
        });
        directory::write(table, children)
    }

    fn body<'t>(&self, image: &Image<'t>, id: NodeId, listing: &'t Listing) -> Body<'t> {
        match &image.tree.node(id).content {
            Content::Directory(folder) => {
                // The root is in no folder; Linux expects a number that no inode has.
                let inodes = u32::try_from(self.walk.order().len()).unwrap_or(u32::MAX);
                let is_root = id == NodeId::ROOT;
                let parent = if is_root {
                    inodes.saturating_add(1)
                } else {
                    self.walk.number(folder.parent)
                };
                Body::Directory { listing, parent }
            }
            Content::File(file) => Body::File(image.contents.file(*file)),
            Content::Symlink(target) => Body::Symlink(target),
            Content::Block(device) | Content::Character(device) => Body::Device(device.encode()),
            Content::Fifo => Body::Fifo,
        }
    }
}
