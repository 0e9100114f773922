//! The folder in which one build has its trees; nothing of it stays behind.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::channel::{Seat, Start};
use super::{Namespace, Root, Streams, mounts};
use crate::apart::keep_apart;
use crate::error::Error;
use crate::inside::{Reply, Task};

const PREFIX: &str = "build-";
const LOCK: &str = "lock";

/// The folder of one build. It is removed when it is dropped; what a killed program leaves is
/// removed by [`sweep`].
#[derive(Debug)]
pub struct Workspace {
    namespace: Namespace,
    path: PathBuf,
    root: Root,
    _lock: File,
}

impl Workspace {
    /// Makes an empty folder of a build below `scratch`.
    pub fn create(scratch: &Path, namespace: &Namespace) -> Result<Self, Error> {
        own_folder(scratch).map_err(Error::io("using", scratch))?;
        keep_apart(scratch);
        let _no_sweep = lock_scratch(scratch)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(scratch);
        let path = folder
            .map_err(Error::io("creating a folder in", scratch))?
            .keep();
        let lock = File::create(path.join(LOCK)).map_err(Error::io("creating", &path))?;
        lock.lock().map_err(Error::io("locking", &path))?;

        let workspace = Self {
            namespace: namespace.clone(),
            path,
            root: Root::Folder,
            _lock: lock,
        };
        workspace.namespace.give(&workspace.path)?;
        for name in [mounts::ROOTFS, mounts::TMP, mounts::VAR_TMP] {
            workspace.make_folder(name)?;
        }
        for name in [mounts::TMP, mounts::VAR_TMP] {
            let path = workspace.path.join(name);
            fs::set_permissions(&path, Permissions::from_mode(0o1777))
                .map_err(Error::io("changing the mode of", path))?;
        }
        Ok(workspace)
    }

    /// The folder itself, for files of the caller.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The image's root directory. Its files have owners of the namespace: they are read and
    /// written by tasks inside.
    pub fn rootfs(&self) -> PathBuf {
        self.path.join(mounts::ROOTFS)
    }

    /// What scripts have as `/tmp`.
    pub fn tmp(&self) -> PathBuf {
        self.path.join(mounts::TMP)
    }

    /// The namespace that the trees belong to.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What the root file system lies in.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Makes the root file system, in which there is nothing yet, an overlay over these folders, the
    /// uppermost first. All lie in one file system with the workspace.
    pub fn lay_over(&mut self, lowers: Vec<PathBuf>) -> Result<(), Error> {
        for index in 0..lowers.len().max(1) {
            self.make_folder(&mounts::overlay::lower(index))?;
        }
        self.make_folder(mounts::CHANGES)?;
        // Who only looked at another overlay left one that is like the root directory of that.
        let unused = self.path.join(mounts::UPPER);
        match fs::remove_dir(&unused) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("removing", unused)(error));
            }
            _ => {}
        }
        self.root = Root::Overlay(lowers);
        Ok(())
    }

    /// Moves the folder with the tree of what was changed to another place, for it to lie below; the
    /// overlay has to be laid anew. The tree itself may belong to anybody, who may not move it.
    pub(crate) fn move_changes(&mut self, to: &Path) -> Result<(), Error> {
        let changes = self.path.join(mounts::CHANGES);
        fs::rename(&changes, to).map_err(Error::io("moving", changes))
    }

    /// Does a task on the root file system.
    pub fn perform(&self, task: &Task, streams: Streams<'_>) -> Result<Reply, Error> {
        let is_overlay = matches!(self.root, Root::Overlay(_));
        let seat = if is_overlay && task.looks_below() {
            Seat::Workspace
        } else {
            Seat::Rootfs
        };
        self.namespace
            .perform_in(&self.start(), seat, task, streams)
    }

    /// What every process of this build begins with.
    pub(super) fn start(&self) -> Start {
        let lowers = match &self.root {
            Root::Folder => None,
            Root::Overlay(lowers) => Some(lowers.clone()),
        };
        Start {
            lowers,
            ..self.namespace.start_in(&self.path)
        }
    }

    pub(super) fn make_folder(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        match DirBuilder::new().mode(0o755).create(&path) {
            Ok(()) => self.namespace.give(&path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(Error::io("creating", path)(error)),
        }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path, &self.namespace) {
            tracing::warn!("{} stays behind: {error}", self.path.display());
        }
    }
}

/// Removes the folders of builds whose program was killed.
pub fn sweep(scratch: &Path, namespace: &Namespace) -> Result<(), Error> {
    if !scratch.exists() {
        return Ok(());
    }
    own_folder(scratch).map_err(Error::io("using", scratch))?;
    let _no_new_builds = lock_scratch(scratch)?;
    for entry in fs::read_dir(scratch).map_err(Error::io("reading", scratch))? {
        let path = entry.map_err(Error::io("reading", scratch))?.path();
        let is_build = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if is_build && is_abandoned(&path)? {
            remove(&path, namespace)?;
        }
    }
    Ok(())
}

/// Makes a folder, or makes sure that it is the caller's.
///
/// # Security
/// Scratch folders lie where everybody may make folders. Who was there first could have links in
/// theirs that lead our files, and our removing of files, to somewhere else.
pub fn own_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let metadata = fs::symlink_metadata(folder)?;
    let is_ours = metadata.is_dir() && metadata.uid() == Uid::effective().as_raw();
    let is_shared = metadata.mode() & 0o022 != 0;
    if is_ours && !is_shared {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "it should be a folder of your own that nobody else may write to; remove it, or set \
         COOPERAGE_TMPDIR to another place",
    ))
}

/// Between the making of a folder and of its lock nobody may sweep.
fn lock_scratch(scratch: &Path) -> Result<File, Error> {
    let path = scratch.join(".lock");
    let file = File::create(&path).map_err(Error::io("creating", &path))?;
    file.lock().map_err(Error::io("locking", &path))?;
    Ok(file)
}

fn is_abandoned(build: &Path) -> Result<bool, Error> {
    match File::open(build.join(LOCK)) {
        Ok(lock) => Ok(lock.try_lock().is_ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::io("opening", build)(error)),
    }
}

/// What belongs to ids of the namespace only its root can remove; the rest is ours.
fn remove(path: &Path, namespace: &Namespace) -> Result<(), Error> {
    let trees = [
        mounts::ROOTFS,
        mounts::TMP,
        mounts::VAR_TMP,
        mounts::CHANGES,
        mounts::WORK,
    ];
    let task = Task::RemoveTrees(trees.map(PathBuf::from).to_vec());
    namespace.perform(path, &task, Streams::default())?;
    fs::remove_dir_all(path).map_err(Error::io("removing", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    #[test]
    fn a_folder_that_others_prepared_is_not_used() {
        let place = tempfile::tempdir().unwrap();
        let (link, shared) = (place.path().join("link"), place.path().join("shared"));
        symlink(place.path(), &link).unwrap();
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o777)).unwrap();

        assert!(own_folder(&place.path().join("ours/below")).is_ok());
        assert!(own_folder(&link).is_err());
        assert!(own_folder(&shared).is_err());
        if Uid::effective().is_root() {
            let others = place.path().join("others");
            fs::create_dir(&others).unwrap();
            chown(&others, Some(65_534), None).unwrap();
            assert!(own_folder(&others).is_err());
        } else {
            assert!(own_folder(Path::new("/usr")).is_err());
        }
    }
}
