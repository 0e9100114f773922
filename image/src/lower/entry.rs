//! The folder of a kept tree: how it comes to be, is held, and goes away.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::inside::Task;
use crate::sandbox::{Namespace, Streams};

/// The tree in its folder. There is another in between, which is ours even where the tree, as that of
/// an image, is not.
pub(super) const TREE: &str = "changes/tree";
const BETWEEN: &str = "changes";
const PARTIAL: &str = "partial-";

/// A tree that is not complete; it is removed when it is dropped.
pub(crate) struct Partial {
    folder: PathBuf,
    namespace: Namespace,
    is_complete: bool,
    _held: File,
}

impl Partial {
    /// Makes an empty tree on a shelf.
    pub(super) fn make(shelf: &Path, namespace: &Namespace) -> Result<Self, Error> {
        let partial = Self::without_tree(shelf, namespace)?;
        let tree = partial.tree();
        let between = partial.place();
        fs::create_dir(&between).map_err(Error::io("creating", between))?;
        fs::create_dir(&tree).map_err(Error::io("creating", &tree))?;
        let opened = fs::set_permissions(&tree, Permissions::from_mode(0o755));
        opened.map_err(Error::io("changing the mode of", &tree))?;
        namespace.give(&tree)?;
        Ok(partial)
    }

    /// Makes a place for a tree that is moved there.
    pub(crate) fn without_tree(shelf: &Path, namespace: &Namespace) -> Result<Self, Error> {
        let _no_sweep = lock(shelf)?;
        let folder = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(shelf);
        let folder = folder
            .map_err(Error::io("creating a folder in", shelf))?
            .keep();
        let held = File::open(&folder).map_err(Error::io("opening", &folder))?;
        held.lock_shared().map_err(Error::io("locking", &folder))?;
        Ok(Self {
            folder,
            namespace: namespace.clone(),
            is_complete: false,
            _held: held,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the folder with the tree in it is, or is moved.
    pub(crate) fn place(&self) -> PathBuf {
        self.folder.join(BETWEEN)
    }

    /// The tree.
    pub(crate) fn tree(&self) -> PathBuf {
        self.folder.join(TREE)
    }

    /// Whether it has its name.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Gives it its name, unless there is one of that name.
    pub(super) fn rename(&mut self, name: &Path) -> Result<(), Error> {
        match fs::rename(&self.folder, name) {
            Ok(()) => {
                name.clone_into(&mut self.folder);
                self.is_complete = true;
                Ok(())
            }
            Err(error) if is_taken(&error) => Ok(()),
            Err(error) => Err(Error::io("writing", name)(error)),
        }
    }
}

/// Between the making of a folder and of its lock nobody may sweep.
fn lock(shelf: &Path) -> Result<File, Error> {
    let path = shelf.join(".lock");
    let file = File::create(&path).map_err(Error::io("creating", &path))?;
    file.lock().map_err(Error::io("locking", &path))?;
    Ok(file)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
    )
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_complete
            && let Err(error) = remove_whole(&self.folder, &self.namespace)
        {
            tracing::warn!("{} stays behind: {error}", self.folder.display());
        }
    }
}

/// Keeps the folder of a tree from being removed; nothing if there is none.
pub(super) fn hold(folder: &Path) -> Result<Option<File>, Error> {
    let held = match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        held => held.map_err(Error::io("opening", folder))?,
    };
    held.lock_shared().map_err(Error::io("locking", folder))?;
    let opened = held.metadata().map_err(Error::io("reading", folder))?;
    let named = fs::symlink_metadata(folder);
    // Who removed it meanwhile had moved it away.
    let is_there =
        named.is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino()));
    Ok(is_there.then_some(held))
}

/// Removes a tree, unless somebody uses it; tells whether it did.
pub(crate) fn remove(folder: &Path, namespace: &Namespace) -> Result<bool, Error> {
    let ours = match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        ours => ours.map_err(Error::io("opening", folder))?,
    };
    if ours.try_lock().is_err() {
        return Ok(false);
    }
    let shelf = folder.parent().unwrap_or(folder);
    let going = Partial::without_tree(shelf, namespace)?;
    // Half of it is nobody's tree.
    fs::rename(folder, &going.folder).map_err(Error::io("moving", folder))?;
    drop(going);
    Ok(true)
}

/// Removes what those left on a shelf that were killed.
pub(super) fn sweep(shelf: &Path, namespace: &Namespace) -> Result<(), Error> {
    let _no_new_ones = lock(shelf)?;
    for entry in fs::read_dir(shelf).map_err(Error::io("reading", shelf))? {
        let entry = entry.map_err(Error::io("reading", shelf))?;
        if !entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            continue;
        }
        let path = entry.path();
        // Somebody who was faster removes it, too.
        let is_abandoned = File::open(&path).is_ok_and(|folder| folder.try_lock().is_ok());
        if is_abandoned {
            remove_whole(&path, namespace)?;
        }
    }
    Ok(())
}

/// What belongs to ids of the namespace only its root can remove; the rest is ours.
fn remove_whole(folder: &Path, namespace: &Namespace) -> Result<(), Error> {
    let tree = folder.join(TREE);
    if tree.exists() {
        namespace.perform(&tree, &Task::RemoveTree, Streams::default())?;
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("removing", folder)(error))
        }
        _ => Ok(()),
    }
}
