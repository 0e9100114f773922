//! Gives owners access to their own files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::sandbox::Failure;

/// Lets the owner enter all folders and read and write all files at and below a path.
pub(super) fn fix(path: &Path) -> Result<(), Failure> {
    let found = fs::symlink_metadata(path).map_err(Failure::io("reading", path))?;
    let own = if found.is_dir() { 0o700 } else { 0o600 };
    let mode = found.permissions().mode() & 0o7777;
    if (found.is_dir() || found.is_file()) && mode & own != own {
        fs::set_permissions(path, Permissions::from_mode(mode | own))
            .map_err(Failure::io("changing the mode of", path))?;
    }
    if !found.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(Failure::io("reading", path))? {
        fix(&entry.map_err(Failure::io("reading", path))?.path())?;
    }
    Ok(())
}
