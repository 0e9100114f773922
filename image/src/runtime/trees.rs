//! Images that were unpacked to be run, in the cache.
//!
//! A tree appears by renaming, complete; a lock keeps two starts from unpacking the same image.
//! Who uses a tree, or makes one, holds a lock on its folder: it is not removed meanwhile.
//! The folder of all trees is the caller's alone, whatever the modes of files in them are.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};

use super::image::Image;
use crate::base;
use crate::engine::{Cancel, Event, Limits, Settings};
use crate::error::Error;
use crate::inside::Task;
use crate::sandbox::{Namespace, Streams};
use crate::squashfs::Bounds;

const PARTIAL: &str = "partial-";
/// Programs count on low numbers of files being free.
const HIGH: i32 = 250;

fn folder(cache: &Path) -> PathBuf {
    cache.join("trees")
}

/// The tree of an image if it was unpacked before; it is held.
pub(super) fn find(image: &Image, cache: &Path) -> Result<Option<PathBuf>, Error> {
    let tree = folder(cache).join(image.key()?);
    Ok(hold(&tree)?.then_some(tree))
}

/// Keeps a tree from being removed as long as this process runs, and what it becomes or starts;
/// tells whether it is there.
pub(super) fn hold(tree: &Path) -> Result<bool, Error> {
    let held = match File::open(tree) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        held => held.map_err(Error::io("opening", tree))?,
    };
    held.lock_shared().map_err(Error::io("locking", tree))?;
    if !is_at(&held, tree)? {
        return Ok(false);
    }
    // A copy that is never closed, and not by the start of another program either.
    fcntl(&held, FcntlArg::F_DUPFD(HIGH))
        .map_err(|error| Error::io("holding", tree)(io::Error::from(error)))?;
    Ok(true)
}

/// Whether a folder that was opened is still the one of that name.
fn is_at(folder: &File, path: &Path) -> Result<bool, Error> {
    let opened = folder.metadata().map_err(Error::io("reading", path))?;
    let named = fs::symlink_metadata(path);
    Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())))
}

/// Unpacks an image, unless somebody did before.
pub fn unpack(
    image: &Image,
    settings: &Settings,
    events: &(dyn Fn(Event<'_>) + Sync),
    cancel: &Cancel,
) -> Result<PathBuf, Error> {
    let trees = folder(&settings.cache);
    make_private(&trees)?;
    let key = image.key()?;
    let tree = trees.join(&key);
    let _turn = lock(&trees.join(format!("{key}.lock")))?;
    if tree.is_dir() {
        return Ok(tree);
    }
    events(Event::Info(&format!("unpacking {}", image.path.display())));
    let partial = Partial::make(&trees)?;
    fill(image, &partial, cancel)?;
    if image.key()? != key {
        return Err(Error::Base {
            message: format!("{} was changed while it was unpacked", image.path.display()),
            help: Some("start it again when nobody writes to it".to_owned()),
        });
    }
    fs::rename(&partial.path, &tree).map_err(Error::io("writing", &tree))?;
    Ok(tree)
}

fn make_private(trees: &Path) -> Result<(), Error> {
    if let Some(parent) = trees.parent() {
        fs::create_dir_all(parent).map_err(Error::io("making", parent))?;
    }
    match DirBuilder::new().mode(0o700).create(trees) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::io("making", trees)(error))
        }
        _ => crate::sandbox::own_folder(trees).map_err(Error::io("using", trees)),
    }
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).map_err(Error::io("creating", path))?;
    file.lock().map_err(Error::io("locking", path))?;
    Ok(file)
}

/// Reads the image and writes its files as the caller's own, which only what reads a
/// list of files and their content does.
fn fill(image: &Image, partial: &Partial, cancel: &Cancel) -> Result<(), Error> {
    let own = Namespace::of_caller()?;
    let file = File::open(&image.path).map_err(Error::io("opening", &image.path))?;
    let name = image.path.display().to_string();
    let task = Task::ApplyLayer {
        diff_id: None,
        ledger: String::new(),
        most_bytes: None,
    };
    let bounds = Bounds {
        limits: Limits::default(),
        cancel,
    };
    base::read_tree((&file, &name), bounds, |tree| {
        let streams = Streams {
            input: Some(tree),
            ..Streams::default()
        };
        own.perform(&partial.path, &task, streams).map(drop)
    })?;
    Ok(())
}

/// A tree that is not complete; it is removed when it is dropped.
struct Partial {
    path: PathBuf,
    _held: File,
}

impl Partial {
    fn make(trees: &Path) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(trees);
        let path = folder
            .map_err(Error::io("creating a folder in", trees))?
            .keep();
        let held = File::open(&path).map_err(Error::io("opening", &path))?;
        held.lock_shared().map_err(Error::io("locking", &path))?;
        Ok(Self { path, _held: held })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.path.exists()
            && let Err(error) = empty_and_remove(&self.path)
        {
            tracing::warn!("{} stays behind: {error}", self.path.display());
        }
    }
}

/// Removes a tree, unless somebody holds it; tells whether it did.
pub(crate) fn remove(tree: &Path) -> Result<bool, Error> {
    let ours = File::open(tree).map_err(Error::io("opening", tree))?;
    if ours.try_lock().is_err() {
        return Ok(false);
    }
    let folder = tree.parent().unwrap_or(tree);
    let going = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(folder);
    let going = going
        .map_err(Error::io("creating a folder in", folder))?
        .keep();
    // Half of it is nobody's tree.
    fs::rename(tree, &going).map_err(Error::io("moving", tree))?;
    empty_and_remove(&going)?;
    Ok(true)
}

/// A folder of the image may keep its owner out, but not root of a namespace.
fn empty_and_remove(tree: &Path) -> Result<(), Error> {
    Namespace::of_caller()?.perform(tree, &Task::RemoveTree, Streams::default())?;
    fs::remove_dir(tree).map_err(Error::io("removing", tree))
}
