//! What an inode says of its file.

use super::image::{Image, damaged, number};
use super::xattr;
use crate::error::Error;

const COMPRESSED: u64 = 0x4;
const ENCRYPTED: u64 = 0x800;
const EXTENTS: u64 = 0x8_0000;
const INLINE: u64 = 0x1000_0000;

/// A file of any kind.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) kind: Kind,
    /// Permission bits, set-id and sticky bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// In seconds since 1970.
    pub(super) modified: u64,
    pub(super) links: u64,
    pub(super) size: u64,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where its blocks are, or what stands in their place.
    pub(super) map: [u8; 60],
    pub(super) has_extents: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Symlink,
    Fifo,
    CharacterDevice,
    BlockDevice,
    Socket,
}

impl Inode {
    pub(super) fn read(image: &Image<'_>, inode: u32) -> Result<Self, Error> {
        let bytes = image.inode(inode)?;
        let field = |offset, size| number(&bytes, offset, size);
        let mode = field(0, 2);
        let kind = kind(mode)?;
        let flags = field(0x20, 4);
        if flags & (COMPRESSED | ENCRYPTED | INLINE) != 0 {
            return Err(Error::Base {
                message: "image has files that are compressed, encrypted or kept in their inodes"
                    .to_owned(),
                help: Some("images of Singularity 2 have an ext3".to_owned()),
            });
        }
        let high = if kind == Kind::File {
            field(0x6c, 4) << 32
        } else {
            0
        };
        let attributes = field(0x68, 4) | field(0x76, 2) << 32;
        let mut map = [0; 60];
        map.copy_from_slice(&bytes[0x28..0x64]);
        Ok(Self {
            kind,
            mode: u32::try_from(mode & 0o7777).unwrap_or_default(),
            uid: owner(field(0x2, 2), field(0x78, 2)),
            gid: owner(field(0x18, 2), field(0x7a, 2)),
            modified: modified(&bytes),
            links: field(0x1a, 2),
            size: field(0x4, 4) | high,
            xattrs: xattr::read(image, &bytes, attributes)?,
            map,
            has_extents: flags & EXTENTS != 0,
        })
    }

    /// Major and minor number of a device, in the older encoding or the newer one.
    pub(super) fn device(&self) -> (u32, u32) {
        let word = |offset| u32::try_from(number(&self.map, offset, 4)).unwrap_or_default();
        match (word(0), word(4)) {
            (0, new) => (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00),
            (old, _) => (old >> 8 & 0xff, old & 0xff),
        }
    }
}

fn owner(low: u64, high: u64) -> u32 {
    u32::try_from(low | high << 16).unwrap_or_default()
}

/// Zero means before 1970 or unknown.
fn modified(inode: &[u8]) -> u64 {
    let low = number(inode, 0x10, 4);
    let has_more = inode.len() > 128 && number(inode, 0x80, 2) >= 12;
    let epoch = if has_more {
        number(inode, 0x88, 4) & 3
    } else {
        0
    };
    let is_early = low > i32::MAX.unsigned_abs().into();
    match (is_early, epoch) {
        (true, 0) => 0,
        (true, epoch) => ((epoch - 1) << 32) + low,
        (false, epoch) => (epoch << 32) + low,
    }
}

fn kind(mode: u64) -> Result<Kind, Error> {
    Ok(match mode >> 12 {
        0o1 => Kind::Fifo,
        0o2 => Kind::CharacterDevice,
        0o4 => Kind::Folder,
        0o6 => Kind::BlockDevice,
        0o10 => Kind::File,
        0o12 => Kind::Symlink,
        0o14 => Kind::Socket,
        _ => return Err(damaged("a name leads to an inode that is no file")),
    })
}
