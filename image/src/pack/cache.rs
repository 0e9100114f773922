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
use tempfile::{NamedTempFile, TempDir};

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
        let partial = self.partial()?;
        let made = record(layer, partial.path(), recording)?;
        Ok(Pack {
            _temporary: Some(Arc::new(partial)),
            ..made
        })
    }

    /// A folder for a pack that is being made.
    pub(super) fn partial(&self) -> Result<TempDir, Error> {
        let partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempdir_in(&self.folder);
        partial.map_err(Error::io("creating a folder in", &self.folder))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::super::layout::{Layout, Object};
    use super::*;
    use crate::engine::Cancel;

    /// A layer of one file that does not get smaller.
    fn layer() -> Vec<u8> {
        let mut state = 1_u32;
        let next = std::iter::repeat_with(move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        let content: Vec<u8> = next.take(300_000).collect();
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        tar.append_data(&mut header, "file", &content[..]).unwrap();
        tar.into_inner().unwrap()
    }

    fn make(packs: &Packs, key: &Key) -> Pack {
        let recording = Recording {
            packing: Packing::default(),
            below: &[],
            cancel: &Cancel::default(),
        };
        let pack = packs.make(&layer()[..], recording).unwrap();
        packs.keep(key, pack).unwrap()
    }

    fn flip(path: &Path, offset: u64) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
    }

    fn cut(path: &Path) {
        let file = File::options().write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length - 1).unwrap();
    }

    fn change_version(path: &Path) {
        // The mark, the hash of what follows it, and the version.
        let mut bytes = fs::read(path).unwrap();
        bytes[40] += 1;
        let hash = Sha256::digest(&bytes[40..]);
        bytes[8..40].copy_from_slice(&hash);
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_pack_that_is_damaged_is_removed_and_the_same_when_it_is_made_again() {
        let cache = tempfile::tempdir().unwrap();
        let packs = Packs::of(cache.path()).unwrap();
        let key = Key::of("layer", "sha256:1", Packing::default());
        let object = make(&packs, &key).object();
        let place = cache.path().join(FOLDER).join(&key.0);
        let (data, index) = (place.join(DATA), place.join(INDEX));
        let damages: [(&str, &dyn Fn()); 6] = [
            ("data cut", &|| cut(&data)),
            ("no data", &|| fs::remove_file(&data).unwrap()),
            ("index flipped", &|| flip(&index, 60)),
            ("index cut", &|| cut(&index)),
            ("no index", &|| fs::remove_file(&index).unwrap()),
            ("another version", &|| change_version(&index)),
        ];

        for (name, damage) in damages {
            assert!(packs.find(&key).unwrap().is_some(), "{name}");
            damage();
            assert!(packs.find(&key).unwrap().is_none(), "{name}");
            assert!(!place.exists(), "{name}");
            assert_eq!(make(&packs, &key).object(), object, "{name}");
        }
    }

    #[test]
    fn a_flipped_byte_in_the_data_is_found_by_those_who_read_it() {
        let cache = tempfile::tempdir().unwrap();
        let packs = Packs::of(cache.path()).unwrap();
        let key = Key::of("layer", "sha256:1", Packing::default());
        let object: Object = make(&packs, &key).object();
        let layout = Layout {
            extents: Vec::new(),
            objects: vec![object],
        };
        let data = cache.path().join(FOLDER).join(&key.0).join(DATA);

        assert_eq!(layout.remove_damaged().unwrap(), Vec::<PathBuf>::new());
        flip(&data, 200_000);

        assert_eq!(layout.remove_damaged().unwrap(), [data]);
        assert!(packs.find(&key).unwrap().is_none());
    }
}
