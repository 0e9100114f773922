//! How image layers become a root file system, and how a root file system becomes a tar again.
//!
//! [`apply()`] puts one layer over a tree, [`stream_tree`] writes the finished tree as a tar for the
//! squashfs packer, [`stream_upper`] what was changed in it as a further layer, and a [`Ledger`] carries what the file system in between could not represent:
//! owners outside the user namespace's range, devices, extended attributes.
//!
//! # Security
//! Layers are strangers' files. Every name is cleaned, every parent is opened with the kernel's
//! `RESOLVE_IN_ROOT`, and the last component is never followed. In production this runs in a
//! process that is chrooted into the tree besides.

mod apply;
mod archive;
mod decompress;
mod entry;
mod error;
pub(crate) mod header;
mod ledger;
mod metadata;
mod node;
mod pax;
mod sparse;
mod stream;
mod survey;
mod tree;
mod upper;
mod whiteout;

pub use apply::{Applied, Naming, Options, apply, put};
pub(crate) use archive::{Archive, Kind as MemberKind, Member};
pub(crate) use decompress::{is_compressed, reader as decompressed};
pub use error::Error;
pub use ledger::{Device, DeviceKind, Ledger, Record};
pub(crate) use sparse::Run;
pub use stream::{StreamOptions, TreeSummary, stream_files, stream_tree, stream_upper};
pub use survey::{Correction, Needs, survey};
pub(crate) use tree::{clean, split};
pub(crate) use whiteout::{Whiteout, parse as parse_whiteout};

/// Extended attributes, name and value.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Squashfs stores the name spaces `user`, `trusted` and `security`.
pub(crate) fn is_kept_xattr(name: &[u8]) -> bool {
    let stored = [&b"user."[..], b"trusted.", b"security."];
    stored.iter().any(|space| name.starts_with(space)) && !is_foreign_xattr(name)
}

/// Attributes that describe the machine or the tool which made a tree, not the image.
fn is_foreign_xattr(name: &[u8]) -> bool {
    name == b"security.selinux"
        || name == b"user.rootlesscontainers"
        || name == ledger::MARK.as_bytes()
        || name.starts_with(b"system.")
        || name.starts_with(b"trusted.overlay")
        || name.starts_with(b"user.overlay")
}
