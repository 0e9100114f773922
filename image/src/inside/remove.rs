//! Removes a whole tree, whatever its modes are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sandbox::Failure;

/// Removes everything below some folders of the root directory; those that are not there are
/// passed over.
pub(super) fn remove_all_below(folders: &[PathBuf]) -> Result<(), Failure> {
    for folder in folders {
        let folder = Path::new("/").join(folder);
        if folder.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            remove_below(&folder)?;
        }
    }
    Ok(())
}

/// Removes everything below a folder.
pub(super) fn remove_below(folder: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(Failure::io("reading", folder))? {
        let entry = entry.map_err(Failure::io("reading", folder))?;
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
