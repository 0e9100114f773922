//! Parts of images that were pulled: what of each object is here, in `objects` of the cache.
//!
//! An object is a folder of its name: `data` has its bytes where they lie in the object, and
//! `ranges` says which of them are there. It is written after them, so what it says is there.
//! Several may add to an object at once: they write the same bytes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::ranges::Ranges;
use crate::error::Error;

/// Where objects lie in the cache.
pub(crate) const FOLDER: &str = "objects";

/// An object, or a part of one.
#[derive(Debug)]
pub(super) struct Object {
    /// Its bytes.
    pub(super) data: File,
    /// Those that are there.
    pub(super) ranges: Ranges,
    folder: PathBuf,
}

impl Object {
    /// Opens what is here of an object, which may be nothing.
    pub(super) fn open(cache: &Path, digest: &str) -> Result<Self, Error> {
        let folder = cache.join(FOLDER).join(digest);
        fs::create_dir_all(&folder).map_err(Error::io("making the folder", &folder))?;
        let path = folder.join("data");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let data = options.open(&path).map_err(Error::io("opening", &path))?;
        let metadata = data.metadata().map_err(Error::io("reading", &path))?;
        // A file that is too short is not the one that the ranges were written for.
        let ranges = read_ranges(&folder.join("ranges"))?;
        let ranges = Some(ranges).filter(|ranges| ranges.end() <= metadata.len());
        let ranges = ranges.unwrap_or_default();
        Ok(Self {
            data,
            ranges,
            folder,
        })
    }

    /// Puts bytes where they lie in the object.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        let written = self.data.write_all_at(bytes, offset);
        written.map_err(Error::io("writing", self.folder.join("data")))?;
        self.ranges.add(offset..offset + bytes.len() as u64);
        Ok(())
    }

    /// Notes what is there, besides what others have noted; the object counts as used now.
    pub(super) fn save(&mut self) -> Result<(), Error> {
        let path = self.folder.join("ranges");
        let locked = self.data.lock();
        locked.map_err(Error::io("locking", &self.folder))?;
        let saved = self.write_ranges(&path);
        let unlocked = self.data.unlock();
        unlocked.map_err(Error::io("unlocking", &self.folder))?;
        saved
    }

    fn write_ranges(&mut self, path: &Path) -> Result<(), Error> {
        self.ranges.merge(&read_ranges(path)?);
        let text = serde_json::to_vec(&self.ranges);
        let text = text.map_err(|error| Error::Internal(error.to_string()))?;
        let mut new = tempfile::NamedTempFile::new_in(&self.folder)
            .map_err(Error::io("creating a file in", &self.folder))?;
        io::Write::write_all(&mut new, &text).map_err(Error::io("writing", path))?;
        let put = new.persist(path).map_err(|error| error.error);
        put.map_err(Error::io("writing", path)).map(drop)
    }

    /// The parts of a range that are not there.
    pub(super) fn missing_in(&self, wanted: Range<u64>) -> Vec<Range<u64>> {
        self.ranges.missing_in(wanted)
    }

    /// Forgets all of it: some of its bytes are wrong.
    pub(super) fn forget(self) -> Result<(), Error> {
        remove(&self.folder)
    }
}

/// Removes an object: first what says that something is there.
pub(crate) fn remove(folder: &Path) -> Result<(), Error> {
    let ranges = fs::remove_file(folder.join("ranges"));
    for removed in [ranges, fs::remove_dir_all(folder)] {
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("removing", folder)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What cannot be read counts as nothing: it is fetched again.
fn read_ranges(path: &Path) -> Result<Ranges, Error> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ranges::default()),
        Err(error) => Err(Error::io("reading", path)(error)),
    }
}
