//! Packs that lie in the cache, from which images are made.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::Pack;
use super::write::{Recording, record};
use crate::error::Error;

const FOLDER: &str = "packs";
const PARTIAL: &str = "partial-";

/// Where packs lie. Whoever uses it holds the cache: nothing is removed meanwhile.
#[derive(Debug)]
pub(crate) struct Packs {
    folder: PathBuf,
}

impl Packs {
    pub(crate) fn of(cache: &Path) -> Result<Self, Error> {
        let folder = cache.join(FOLDER);
        fs::create_dir_all(&folder).map_err(Error::io("making the folder", &folder))?;
        Ok(Self { folder })
    }

    /// A pack that is removed with what is returned.
    pub(crate) fn make_temporary(
        &self,
        layer: impl Read,
        recording: Recording<'_>,
    ) -> Result<Pack, Error> {
        let partial = self.partial()?;
        let made = record(layer, partial.path(), recording)?;
        Ok(Pack {
            _temporary: Some(Arc::new(partial)),
            ..made
        })
    }

    fn partial(&self) -> Result<TempDir, Error> {
        let partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempdir_in(&self.folder);
        partial.map_err(Error::io("creating a folder in", &self.folder))
    }
}
