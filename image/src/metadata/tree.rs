//! Writing below a root without following what an image left there.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::Result;
use crate::Error;

/// Mode of scripts.
pub(super) const SCRIPT: u32 = 0o755;
/// Mode of other files.
pub(super) const PLAIN: u32 = 0o644;

/// More would not be a text that somebody reads.
const LARGEST_TEXT: u64 = 16 << 20;

/// A tree that is written to below its root.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Makes a folder and those above it; links to folders inside of the tree stay as they are.
    ///
    /// A link below the metadata folder is replaced: nothing but a folder belongs there.
    pub(super) fn folder(&self, path: &str) -> Result<()> {
        let mut current = self.root.clone();
        let strict = path.starts_with(super::FOLDER) || path.starts_with("scif");
        for part in Path::new(path).components() {
            current.push(part);
            match fs::symlink_metadata(&current) {
                Ok(found) if found.is_dir() => {}
                Ok(found) if found.is_symlink() && !strict => return Ok(()),
                Ok(_) => {
                    fs::remove_file(&current).map_err(Error::io("removing", &current))?;
                    make_folder(&current)?;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => make_folder(&current)?,
                Err(error) => return Err(Error::io("reading", &current)(error)),
            }
        }
        Ok(())
    }

    /// Writes a file; what was there before, other than a folder, is replaced.
    pub(super) fn write(&self, path: &str, content: &str, mode: u32) -> Result<()> {
        let target = self.path(path);
        self.clear(path)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&target)
            .map_err(Error::io("writing", &target))?;
        file.write_all(content.as_bytes())
            .map_err(Error::io("writing", &target))?;
        // The mode above was subject to the umask.
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(Error::io("writing", &target))
    }

    /// Writes a file if there is nothing of that name.
    pub(super) fn write_if_missing(&self, path: &str, content: &str, mode: u32) -> Result<()> {
        if self.exists(path) {
            Ok(())
        } else {
            self.write(path, content, mode)
        }
    }

    /// Makes a symbolic link if there is nothing of that name.
    pub(super) fn link_if_missing(&self, path: &str, target: &str) -> Result<()> {
        if self.exists(path) {
            return Ok(());
        }
        let path = self.path(path);
        symlink(target, &path).map_err(Error::io("linking", path))
    }

    /// Whether there is something of that name, if only a dangling link.
    pub(super) fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    /// The text of a regular file; nothing if it is anything else, or not text.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>> {
        let path = self.path(path);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() && found.len() <= LARGEST_TEXT => {
                let bytes = fs::read(&path).map_err(Error::io("reading", &path))?;
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
            _ => Ok(None),
        }
    }

    /// Removes what is there, so that a file can be made; a folder is an error.
    pub(super) fn clear(&self, path: &str) -> Result<()> {
        let path = self.path(path);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("replacing", path)(error)),
        }
    }

    /// Names in a folder, sorted; none if it is not there.
    pub(super) fn names(&self, path: &str) -> Result<Vec<String>> {
        let path = self.path(path);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("reading", path)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("reading", &path))?;
            names.extend(entry.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir(path).map_err(Error::io("making", path))?;
    fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(Error::io("making", path))
}
