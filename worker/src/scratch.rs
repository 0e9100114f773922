//! The folder in which attempts have their files: one worker each, cleaned at the start.

use std::fs::File;
use std::path::{Path, PathBuf};

use cooperage_image::sandbox::own_folder;
use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use crate::Error;

const PREFIX: &str = "attempt-";

/// A scratch folder that belongs to this process for as long as it lives.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl Scratch {
    /// Takes the folder, and removes what a killed worker left in it.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let error = |action| {
            let path = folder.to_owned();
            move |source| Error::Scratch {
                action,
                path,
                source,
            }
        };
        own_folder(folder).map_err(error("using"))?;
        let file = File::create(folder.join("worker.lock")).map_err(error("locking"))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| Error::ScratchInUse(folder.to_owned()))?;
        remove_leftovers(folder).map_err(error("reading"))?;
        Ok(Self {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// A folder for one attempt, removed when dropped.
    pub(crate) fn attempt(&self) -> std::io::Result<TempDir> {
        tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&self.folder)
    }
}

fn remove_leftovers(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_attempt = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !is_attempt {
            continue;
        }
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, "{} was left by a killed worker", entry.path().display());
        }
    }
    Ok(())
}
