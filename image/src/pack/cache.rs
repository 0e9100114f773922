//! Packs that are kept between builds, and shared by all processes that use the cache.
//!
//! A pack gets its name, which says what it was made of and how, by renaming: it is complete or
//! absent. The packs of a base are written down in a list under the base's key.

use std::fs::{self, File, FileTimes};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::index::{Index, VERSION};
use super::write::{Recording, record};
use super::{DATA, INDEX, Pack};
use crate::error::Error;
use crate::squashfs::Packing;

pub(crate) const FOLDER: &str = "packs";
const PARTIAL: &str = "partial-";
/// Ends the name of a list.
const LIST: &str = "list";

/// Where packs lie. Whoever uses it holds the cache: nothing is removed meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Packs {
    folder: PathBuf,
}

/// What a pack is made of, and how, as its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    /// The key of what has this digest among things of one kind.
    pub(crate) fn of(kind: &str, digest: &str, packing: Packing) -> Self {
        let Packing {
            compression,
            block_size,
            threads: _, // the same bytes for any number
        } = packing;
        let text = format!("{VERSION}\n{kind}\n{digest}\n{compression:?}\n{block_size}");
        Self(hex::encode(Sha256::digest(text)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Packs {
    pub(crate) fn of(cache: &Path) -> Result<Self, Error> {
        let folder = cache.join(FOLDER);
        fs::create_dir_all(&folder).map_err(Error::io("making the folder", &folder))?;
        Ok(Self { folder })
    }

    /// The pack with a key, if it is kept. One that is damaged is removed.
    pub(crate) fn find(&self, key: &Key) -> Result<Option<Pack>, Error> {
        let folder = self.folder.join(&key.0);
        if !folder.exists() {
            return Ok(None);
        }
        let index = match Index::read(&folder.join(INDEX)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            index => index.map_err(Error::io("reading", &folder))?,
        };
        let Some(index) = index.filter(|index| is_whole(index, &folder.join(DATA))) else {
            tracing::warn!("{} is damaged, and made again", folder.display());
            fs::remove_dir_all(&folder).map_err(Error::io("removing", &folder))?;
            return Ok(None);
        };
        mark_used(&folder)?;
        Ok(Some(Pack::new(folder, index)))
    }

    /// Makes a pack that is removed with what is returned, unless it is kept.
    pub(crate) fn make(&self, layer: impl Read, recording: Recording<'_>) -> Result<Pack, Error> {
        let partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempdir_in(&self.folder)
            .map_err(Error::io("creating a folder in", &self.folder))?;
        let made = record(layer, partial.path(), recording)?;
        Ok(Pack {
            _temporary: Some(Arc::new(partial)),
            ..made
        })
    }

    /// Gives a pack its name. If another process was faster, its pack counts, which is the same.
    pub(crate) fn keep(&self, key: &Key, pack: Pack) -> Result<Pack, Error> {
        let folder = self.folder.join(&key.0);
        match fs::rename(&pack.folder, &folder) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                Ok(self.find(key)?.unwrap_or(pack))
            }
            renamed => {
                renamed.map_err(Error::io("writing", &folder))?;
                Ok(Pack {
                    folder,
                    _temporary: None,
                    ..pack
                })
            }
        }
    }

    /// The packs that were written down under a key, if all of them are kept.
    pub(crate) fn find_list(&self, key: &Key) -> Result<Option<Vec<(Key, Pack)>>, Error> {
        let path = self.list(key);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(Error::io("reading", &path))?,
        };
        let packs = text.lines().map(|line| {
            let key = Key(line.to_owned());
            let found = self.find(&key)?;
            Ok(found.map(|pack| (key, pack)))
        });
        packs.collect()
    }

    /// Writes down which packs a key stands for, the lowest first.
    pub(crate) fn write_list(&self, key: &Key, packs: &[&Key]) -> Result<(), Error> {
        let lines: Vec<&str> = packs.iter().map(|key| key.as_str()).collect();
        let path = self.list(key);
        let written = NamedTempFile::new_in(&self.folder).and_then(|file| {
            fs::write(file.path(), lines.join("\n"))?;
            file.persist(&path)?;
            Ok(())
        });
        written.map_err(Error::io("writing", path))
    }

    /// Forgets which packs a key stands for.
    pub(crate) fn remove_list(&self, key: &Key) -> Result<(), Error> {
        let path = self.list(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("removing", path)(error))
            }
            _ => Ok(()),
        }
    }

    fn list(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.{LIST}", key.0))
    }
}

fn is_whole(index: &Index, data: &Path) -> bool {
    fs::metadata(data).is_ok_and(|found| found.is_file() && found.len() == index.data.size)
}

/// What is used is not what is cleaned up first.
fn mark_used(folder: &Path) -> Result<(), Error> {
    let times = FileTimes::new().set_modified(SystemTime::now());
    let marked = File::open(folder).and_then(|folder| folder.set_times(times));
    marked.map_err(Error::io("marking", folder))
}
