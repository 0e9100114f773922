//! What does an inode say?
//!
//! Each kind has a basic form and an extended one, whose type is 7 higher.

use super::image::Image;
use super::metadata::{Cursor, Metadata};
use crate::error::Error;
use crate::squashfs::damaged;
use crate::squashfs::device::Device;
use crate::squashfs::format::{
    DOTS, EXTENDED, Kind, LONGEST_TARGET, NO_ATTRIBUTES, NO_FRAGMENT, Position,
};

/// A file of any kind.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) number: u32,
    /// Permissions with the set-id and sticky bits.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: u32,
    pub(super) links: u32,
    /// Number of its set of extended attributes.
    pub(super) attributes: Option<u32>,
    pub(super) body: Body,
}

/// What an inode is.
#[derive(Debug)]
pub(super) enum Body {
    Directory(Listed),
    File(File),
    Symlink(Vec<u8>),
    Block(Device),
    Character(Device),
    Fifo,
    Socket,
}

/// Where a folder's list of names lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    pub(super) position: Position,
    /// Bytes of the list.
    pub(super) size: u32,
}

/// Where the content of a file lies.
#[derive(Debug)]
pub(super) struct File {
    pub(super) size: u64,
    /// Where its blocks begin in the image.
    pub(super) start: u64,
    pub(super) tail: Option<Tail>,
    /// Where the stored sizes of its blocks stand.
    pub(super) blocks: Cursor,
}

/// What remains of a file behind its last whole block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    pub(super) fragment: u32,
    pub(super) offset: u32,
}

/// What stands behind the header that all kinds have.
struct Rest {
    links: u32,
    attributes: u32,
    body: Body,
}

impl Inode {
    /// Reads an inode of the inode table.
    pub(super) fn read(image: &mut Image, position: Position) -> Result<Self, Error> {
        let start = image.superblock.inode_table;
        let metadata = &mut image.metadata;
        let mut cursor = metadata.seek(start, position)?;
        let at = &mut cursor;
        let kind = metadata.u16(at)?;
        let mode = metadata.u16(at)? & 0o7777;
        let (user, group) = (metadata.u16(at)?, metadata.u16(at)?);
        let (modified, number) = (metadata.u32(at)?, metadata.u32(at)?);
        let rest = rest(metadata, cursor, kind)?;
        Ok(Self {
            number,
            mode,
            uid: image.id(user)?,
            gid: image.id(group)?,
            modified,
            links: rest.links,
            attributes: (rest.attributes != NO_ATTRIBUTES).then_some(rest.attributes),
            body: rest.body,
        })
    }
}

fn rest(metadata: &mut Metadata, at: Cursor, kind: u16) -> Result<Rest, Error> {
    const DIRECTORY: u16 = Kind::Directory as u16;
    const FILE: u16 = Kind::File as u16;
    const EXTENDED_DIRECTORY: u16 = DIRECTORY + EXTENDED;
    const EXTENDED_FILE: u16 = FILE + EXTENDED;
    match kind {
        DIRECTORY => directory(metadata, at),
        EXTENDED_DIRECTORY => extended_directory(metadata, at),
        FILE => file(metadata, at),
        EXTENDED_FILE => extended_file(metadata, at),
        basic if basic <= EXTENDED => other(metadata, at, (basic, false)),
        extended => other(metadata, at, (extended - EXTENDED, true)),
    }
}

fn directory(metadata: &mut Metadata, mut at: Cursor) -> Result<Rest, Error> {
    let block = metadata.u32(&mut at)?.into();
    let links = metadata.u32(&mut at)?;
    let size = metadata.u16(&mut at)?.into();
    let offset = metadata.u16(&mut at)?;
    let position = Position { block, offset };
    Ok(Rest {
        links,
        attributes: NO_ATTRIBUTES,
        body: listed(position, size),
    })
}

/// The index behind it is for look-ups of single names.
fn extended_directory(metadata: &mut Metadata, mut at: Cursor) -> Result<Rest, Error> {
    let links = metadata.u32(&mut at)?;
    let size = metadata.u32(&mut at)?;
    let block = metadata.u32(&mut at)?.into();
    let (_parent, _indexed) = (metadata.u32(&mut at)?, metadata.u16(&mut at)?);
    let offset = metadata.u16(&mut at)?;
    let position = Position { block, offset };
    Ok(Rest {
        links,
        attributes: metadata.u32(&mut at)?,
        body: listed(position, size),
    })
}

fn listed(position: Position, size: u32) -> Body {
    Body::Directory(Listed {
        position,
        size: size.saturating_sub(DOTS),
    })
}

fn file(metadata: &mut Metadata, mut at: Cursor) -> Result<Rest, Error> {
    let start = metadata.u32(&mut at)?.into();
    let tail = tail(metadata, &mut at)?;
    let size = metadata.u32(&mut at)?.into();
    Ok(Rest {
        links: 1,
        attributes: NO_ATTRIBUTES,
        body: Body::File(File {
            size,
            start,
            tail,
            blocks: at,
        }),
    })
}

fn extended_file(metadata: &mut Metadata, mut at: Cursor) -> Result<Rest, Error> {
    let start = metadata.u64(&mut at)?;
    let size = metadata.u64(&mut at)?;
    let _sparse = metadata.u64(&mut at)?;
    let links = metadata.u32(&mut at)?;
    let tail = tail(metadata, &mut at)?;
    Ok(Rest {
        links,
        attributes: metadata.u32(&mut at)?,
        body: Body::File(File {
            size,
            start,
            tail,
            blocks: at,
        }),
    })
}

fn tail(metadata: &mut Metadata, at: &mut Cursor) -> Result<Option<Tail>, Error> {
    let (fragment, offset) = (metadata.u32(at)?, metadata.u32(at)?);
    Ok((fragment != NO_FRAGMENT).then_some(Tail { fragment, offset }))
}

fn other(
    metadata: &mut Metadata,
    mut at: Cursor,
    (kind, is_extended): (u16, bool),
) -> Result<Rest, Error> {
    let links = metadata.u32(&mut at)?;
    let kinds = [
        Kind::Symlink,
        Kind::Block,
        Kind::Character,
        Kind::Fifo,
        Kind::Socket,
    ];
    let body = match kinds.into_iter().find(|known| *known as u16 == kind) {
        Some(Kind::Symlink) => Body::Symlink(target(metadata, &mut at)?),
        Some(Kind::Block) => Body::Block(Device::decode(metadata.u32(&mut at)?)),
        Some(Kind::Character) => Body::Character(Device::decode(metadata.u32(&mut at)?)),
        Some(Kind::Fifo) => Body::Fifo,
        Some(Kind::Socket) => Body::Socket,
        _ => return Err(damaged("a file of it is of no known kind")),
    };
    let attributes = if is_extended {
        metadata.u32(&mut at)?
    } else {
        NO_ATTRIBUTES
    };
    Ok(Rest {
        links,
        attributes,
        body,
    })
}

fn target(metadata: &mut Metadata, at: &mut Cursor) -> Result<Vec<u8>, Error> {
    let length = usize::try_from(metadata.u32(at)?).unwrap_or(usize::MAX);
    if !(1..=LONGEST_TARGET).contains(&length) {
        return Err(damaged("a symbolic link is empty or too long"));
    }
    let target = metadata.bytes(at, length)?;
    if target.contains(&0) {
        return Err(damaged("a symbolic link leads to no path"));
    }
    Ok(target)
}
