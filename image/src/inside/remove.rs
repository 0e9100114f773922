//! Removes a whole tree, whatever its modes are.

use std::fs;
use std::io;
use std::path::Path;

use crate::sandbox::Failure;

/// Removes everything below the root directory.
pub(super) fn remove_tree() -> Result<(), Failure> {
    for entry in fs::read_dir("/").map_err(Failure::io("reading", "/"))? {
        let entry = entry.map_err(Failure::io("reading", "/"))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(Failure::io("reading", &path))?;
        remove(&path, kind.is_dir())?;
    }
    Ok(())
}

/// Removes what may be gone already.
pub(super) fn remove(path: &Path, is_folder: bool) -> Result<(), Failure> {
    let removed = if is_folder {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::io("removing", path)(error))
        }
        _ => Ok(()),
    }
}
