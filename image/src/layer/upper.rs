//! How the upper folder of an overlay marks what it hides of the folders below.
//!
//! <https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories>

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::error::Error;

/// What an overlay that a user mounts writes, and what one of the machine's root does.
const OPAQUE: [&str; 2] = ["user.overlay.opaque", "trusted.overlay.opaque"];

/// An upper folder, by its path.
#[derive(Clone, Copy)]
pub(super) struct Upper<'a>(pub(super) &'a Path);

impl Upper<'_> {
    /// Whether there is nothing at a path, whatever the folders below have there.
    pub(super) fn hides(self, path: &[u8]) -> Result<bool, Error> {
        let found = fs::symlink_metadata(self.host_path(path));
        let found = found.map_err(Error::io("looking at", path))?;
        Ok(found.file_type().is_char_device() && found.rdev() == 0)
    }

    /// Whether a folder shows nothing of what the folders below have in it.
    pub(super) fn replaces_content(self, path: &[u8]) -> Result<bool, Error> {
        let folder = self.host_path(path);
        for name in OPAQUE {
            match xattr::get(&folder, name) {
                Ok(Some(value)) if value == b"y" => return Ok(true),
                Ok(_) => {}
                // Who may not see it did not write it, either.
                Err(error) if is_unreadable(&error) => {}
                Err(error) => return Err(Error::io("reading attributes of", path)(error)),
            }
        }
        Ok(false)
    }

    pub(super) fn host_path(self, path: &[u8]) -> PathBuf {
        self.0.join(OsStr::from_bytes(path))
    }
}

fn is_unreadable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
    )
}
