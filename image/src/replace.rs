//! A file that takes its name when it is complete.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::error::Error;

/// What an image is when it is new, but for the caller's umask: everybody may run it.
const RUNNABLE: u32 = 0o777;

/// A file beside the place that it will have; it is removed unless it gets there.
pub struct Replacement {
    file: NamedTempFile,
    place: PathBuf,
}

impl Replacement {
    /// Makes an empty file that will be at `place`, with the mode of what is there.
    pub fn of(place: &Path) -> Result<Self, Error> {
        let place = fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
        let folder = match place.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".cooperage-")
            .permissions(Permissions::from_mode(RUNNABLE))
            .tempfile_in(folder)
            .map_err(Error::io("creating an image in", folder))?;
        if let Ok(found) = fs::metadata(&place) {
            file.as_file()
                .set_permissions(found.permissions())
                .map_err(Error::io("changing the mode of", file.path()))?;
        }
        Ok(Self { file, place })
    }

    /// What is written to.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Where it lies until then.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Puts the file in its place once it is safe on the disk.
    pub fn finish(self) -> Result<(), Error> {
        let Self { file, place } = self;
        let written = file.as_file().sync_all();
        written.map_err(Error::io("writing", &place))?;
        let path: TempPath = file.into_temp_path();
        path.persist(&place)
            .map_err(|error| Error::io("writing", &place)(error.error))
    }
}
