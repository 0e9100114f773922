//! What is kept between commands: how much it is, and how it goes away while others build.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::error::Error;
use crate::lower::{self, Role};
use crate::pack;
use crate::pull::objects;
use crate::runtime;
use crate::sandbox::{Identity, Namespace};

/// A kind of thing that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Layers and configurations of Docker and OCI images.
    Layers,
    /// Images that were made to be run from a URI.
    Images,
    /// Images that were unpacked to be run.
    Trees,
    /// Downloads that broke off.
    Downloads,
    /// Bases that were unpacked to be built on.
    Lowers,
    /// What the scripts of definitions changed in them.
    Steps,
    /// Layers as they lie in images, and lists of those that a base has.
    Packs,
    /// Pieces of images of hubs, which other images have in common with them.
    Objects,
}

/// How much pieces of images take at most, in bytes: those that were used last stay.
const MOST_OBJECTS: u64 = 10 << 30;

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Layers,
        Self::Images,
        Self::Trees,
        Self::Downloads,
        Self::Lowers,
        Self::Steps,
        Self::Packs,
        Self::Objects,
    ];

    fn folder(self) -> &'static str {
        match self {
            Self::Layers => "blobs/sha256",
            Self::Images => "images",
            Self::Trees => "trees",
            Self::Downloads => "downloads",
            Self::Lowers => Role::Base.folder(),
            Self::Steps => Role::Step.folder(),
            Self::Packs => pack::FOLDER,
            Self::Objects => objects::FOLDER,
        }
    }
}

/// One thing that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Where it lies.
    pub path: PathBuf,
    /// What it takes on disk, in bytes.
    pub size: u64,
    /// When it was used last, as far as the file system tells.
    #[serde(skip)]
    pub used: SystemTime,
}

/// Says that layers are in use until what is returned is dropped.
pub(crate) fn hold(cache: &Path) -> Result<File, Error> {
    fs::create_dir_all(cache).map_err(Error::io("making the folder", cache))?;
    let path = cache.join("lock");
    let file = File::create(&path).map_err(Error::io("creating", &path))?;
    file.lock_shared().map_err(Error::io("locking", &path))?;
    Ok(file)
}

/// All that is kept of these kinds.
pub fn list(cache: &Path, kinds: &[Kind]) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for kind in kinds {
        let folder = cache.join(kind.folder());
        let found = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found.map_err(Error::io("reading", &folder))?,
        };
        for entry in found {
            let path = entry.map_err(Error::io("reading", &folder))?.path();
            let is_lock = path.to_string_lossy().ends_with(".lock");
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            if !is_lock {
                entries.push(Entry {
                    kind: *kind,
                    size: size_of(&path, &metadata),
                    used: used(*kind, &metadata),
                    path,
                });
            }
        }
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

/// What is older than that many days.
pub fn unused_for(entries: Vec<Entry>, days: u64) -> Vec<Entry> {
    let age = Duration::from_hours(days.saturating_mul(24));
    let is_old = |entry: &Entry| entry.used.elapsed().is_ok_and(|unused| unused >= age);
    entries.into_iter().filter(is_old).collect()
}

/// Removes entries, but for those that others use just now; tells which it removed.
pub fn remove(cache: &Path, entries: Vec<Entry>) -> Result<Vec<Entry>, Error> {
    let path = cache.join("lock");
    let lock = File::create(&path).map_err(Error::io("creating", &path))?;
    let is_free = lock.try_lock().is_ok();
    let mut removed = Vec::new();
    for entry in entries {
        let is_removed = match entry.kind {
            Kind::Layers | Kind::Packs | Kind::Objects if !is_free => false,
            Kind::Packs => remove_pack(&entry.path)?,
            Kind::Objects => objects::remove(&entry.path).map(|()| true)?,
            Kind::Trees => runtime::remove_tree(&entry.path)?,
            Kind::Lowers | Kind::Steps => {
                lower::remove(&entry.path, &Namespace::new(Identity::Auto)?)?
            }
            Kind::Downloads if is_locked(&entry.path) => false,
            _ => remove_file(&entry.path)?,
        };
        if is_removed {
            removed.push(entry);
        }
    }
    remove_dangling(&cache.join("docker"))?;
    Ok(removed)
}

/// Removes pieces of images that were used longest ago, if they take too much and nobody pulls.
pub(crate) fn trim_objects(cache: &Path) -> Result<(), Error> {
    let mut entries = list(cache, &[Kind::Objects])?;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
    let mut size = 0_u64;
    entries.retain(|entry| {
        size = size.saturating_add(entry.size);
        size > MOST_OBJECTS
    });
    remove(cache, entries).map(drop)
}

/// Removes the names that `import` gave to layers which are gone.
fn remove_dangling(names: &Path) -> Result<(), Error> {
    for name in fs::read_dir(names).into_iter().flatten().flatten() {
        let path = name.path();
        if path.is_symlink() && !path.exists() {
            remove_file(&path)?;
        }
    }
    Ok(())
}

/// Removes a pack, or the list that says which packs belong to a base: whoever finds one without
/// the other makes both again.
fn remove_pack(path: &Path) -> Result<bool, Error> {
    if !path.is_dir() {
        return remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true).map_err(Error::io("removing", path)),
    }
}

fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_err())
}

fn remove_file(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("removing", path)(error)),
    }
}

fn size_of(path: &Path, metadata: &fs::Metadata) -> u64 {
    size_below(path, metadata, &mut HashSet::new())
}

/// What cannot be looked into counts as nothing, a file of several names once.
fn size_below(path: &Path, metadata: &fs::Metadata, counted: &mut HashSet<u64>) -> u64 {
    let is_counted = metadata.nlink() > 1 && !metadata.is_dir() && !counted.insert(metadata.ino());
    let own = if is_counted {
        0
    } else {
        metadata.blocks() * 512
    };
    if !metadata.is_dir() {
        return own;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(size_below(&entry.path(), &metadata, counted))
    });
    own + sizes.sum::<u64>()
}

fn used(kind: Kind, metadata: &fs::Metadata) -> SystemTime {
    let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    if matches!(kind, Kind::Objects | Kind::Packs) {
        // A folder that changes with every use, and is looked into by others.
        return changed;
    }
    metadata.accessed().unwrap_or(changed).max(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(cache: &Path) -> PathBuf {
        let folder = cache.join("blobs/sha256");
        fs::create_dir_all(&folder).unwrap();
        let layer = folder.join("abc");
        fs::write(&layer, [1; 9000]).unwrap();
        layer
    }

    #[test]
    fn layers_stay_as_long_as_a_build_holds_them() {
        let cache = tempfile::tempdir().unwrap();
        let layer = layer(cache.path());
        let entries = list(cache.path(), &Kind::ALL).unwrap();
        assert_eq!(entries.len(), 1);
        assert!(entries[0].size >= 9000);

        let held = hold(cache.path()).unwrap();
        assert_eq!(remove(cache.path(), entries.clone()).unwrap(), []);
        assert!(layer.exists());

        drop(held);
        assert_eq!(remove(cache.path(), entries.clone()).unwrap(), entries);
        assert!(!layer.exists());
    }

    #[test]
    fn a_file_of_two_names_takes_its_space_once() {
        let cache = tempfile::tempdir().unwrap();
        let tree = cache.path().join("trees/one");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("a"), vec![1; 100_000]).unwrap();
        fs::hard_link(tree.join("a"), tree.join("b")).unwrap();

        let size = list(cache.path(), &[Kind::Trees]).unwrap()[0].size;

        assert!((100_000..150_000).contains(&size), "{size}");
    }

    #[test]
    fn names_of_layers_go_with_them() {
        let cache = tempfile::tempdir().unwrap();
        let layer = layer(cache.path());
        let names = cache.path().join("docker");
        fs::create_dir_all(&names).unwrap();
        let name = names.join("sha256:abc.tar.gz");
        std::os::unix::fs::symlink(&layer, &name).unwrap();

        remove(cache.path(), vec![]).unwrap();
        assert!(name.is_symlink());
        let entries = list(cache.path(), &Kind::ALL).unwrap();
        remove(cache.path(), entries).unwrap();

        assert!(!name.is_symlink());
    }

    #[test]
    fn what_was_used_today_is_not_old() {
        let cache = tempfile::tempdir().unwrap();
        layer(cache.path());
        let entries = list(cache.path(), &[Kind::Layers]).unwrap();

        assert_eq!(unused_for(entries.clone(), 1), []);
        assert_eq!(unused_for(entries.clone(), 0), entries);
    }
}
