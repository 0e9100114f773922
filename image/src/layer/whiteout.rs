//! Which entries of a layer remove something from the layers below.
//!
//! See the OCI image specification, "Image Layer Filesystem Changeset", section "Whiteouts".

use super::error::Error;
use super::tree::split;

/// What an entry's name says beyond naming a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whiteout {
    /// The path is removed from the lower layers.
    Path(Vec<u8>),
    /// The content of this folder is removed from the lower layers.
    Opaque(Vec<u8>),
    /// Bookkeeping of AUFS that is not part of the image.
    Bookkeeping,
}

const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The entry that removes a path from the layers below.
pub(super) fn of(path: &[u8]) -> Vec<u8> {
    let (folder, name) = split(path);
    super::tree::join(folder, &[PREFIX, name].concat())
}

/// The entry that removes the content of a folder from the layers below.
pub(super) fn of_content(folder: &[u8]) -> Vec<u8> {
    super::tree::join(folder, OPAQUE)
}

/// Whether a file of this path would be taken for a whiteout.
pub(super) fn is_named_like_one(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/')
        .any(|name| name.starts_with(PREFIX))
}

/// Reads a cleaned path as a whiteout, if it is one.
pub(crate) fn parse(path: &[u8]) -> Result<Option<Whiteout>, Error> {
    if path.split(|byte| *byte == b'/').any(is_bookkeeping) {
        return Ok(Some(Whiteout::Bookkeeping));
    }
    let (folder, name) = split(path);
    if name == OPAQUE {
        return Ok(Some(Whiteout::Opaque(folder.to_vec())));
    }
    match name.strip_prefix(PREFIX) {
        None => Ok(None),
        Some(b"" | b"." | b"..") => Err(Error::entry(path, "is a whiteout without a name")),
        Some(target) => Ok(Some(Whiteout::Path(super::tree::join(folder, target)))),
    }
}

fn is_bookkeeping(component: &[u8]) -> bool {
    matches!(
        component,
        b".wh..wh.plnk" | b".wh..wh.aufs" | b".wh..wh.orph"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_removed() {
        assert_eq!(
            parse(b"a/.wh.b").unwrap(),
            Some(Whiteout::Path(b"a/b".to_vec()))
        );
        assert_eq!(
            parse(b"a/.wh..wh..opq").unwrap(),
            Some(Whiteout::Opaque(b"a".to_vec()))
        );
        assert_eq!(
            parse(b".wh..wh.plnk/1.2").unwrap(),
            Some(Whiteout::Bookkeeping)
        );
        assert_eq!(parse(b"a/.where").unwrap(), None);
    }

    #[test]
    fn a_whiteout_that_would_remove_its_own_folder_is_refused() {
        for path in [&b".wh."[..], b"a/.wh..", b"a/.wh..."] {
            assert!(parse(path).is_err());
        }
    }
}
