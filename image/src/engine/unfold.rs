//! A sandbox: the image's files in a folder, for the caller to use, to change and to remove.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;

use nix::unistd::Uid;

use super::finish::{folder_beside, sync_folder_of};
use super::stage::StageBuild;
use crate::cancellable::Cancellable;
use crate::classic::Content;
use crate::error::Error;
use crate::inside::Task;
use crate::layer::{self, Ledger};
use crate::sandbox::{Identity, Namespace, Output, Streams};

/// What every sandbox has.
const SIGNS: [&str; 4] = [".singularity.d", "dev", "proc", "sys"];

/// A folder may be replaced unasked only when it is empty.
pub(super) fn refuse_to_replace(folder: &Path) -> Result<(), Error> {
    if is_empty(folder) {
        return Ok(());
    }
    if is_sandbox(folder) {
        return Err(Error::Exists(folder.to_owned()));
    }
    let folder = folder.display();
    Err(Error::Machine {
        message: format!("{folder} exists already and is not a sandbox"),
        help: Some("look at what it is; --force replaces it".to_owned()),
    })
}

/// Only what is a sandbox can be updated.
pub(super) fn require_sandbox(folder: &Path) -> Result<(), Error> {
    if is_sandbox(folder) {
        return Ok(());
    }
    Err(no_sandbox(folder, "is not a sandbox"))
}

pub(super) fn no_sandbox(folder: &Path, why: &str) -> Error {
    Error::Machine {
        message: format!("{} {why}", folder.display()),
        help: Some("--update works on a folder that --sandbox made".to_owned()),
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn is_sandbox(folder: &Path) -> bool {
    SIGNS.iter().all(|sign| folder.join(sign).is_dir())
}

/// Makes a sandbox of the tree and puts it in its place.
///
/// Root of the machine gets the files as the image has them. All files are an ordinary user's
/// own, who could not change or remove them otherwise.
pub(crate) fn unfold(content: &Content<'_>, folder: &Path) -> Result<(), Error> {
    let folder: PathBuf = folder.components().collect();
    let beside = folder_beside(&folder)?;
    let tree = beside.path().join("tree");
    let made = make_folder(&tree)
        .and_then(|()| copy_tree(content, &tree))
        .and_then(|()| put_in_place(&tree, &folder, &beside.path().join("old")));
    for left in ["tree", "old"] {
        remove(&beside.path().join(left))?;
    }
    made?;
    sync_folder_of(&folder)
}

fn copy_tree(content: &Content<'_>, folder: &Path) -> Result<(), Error> {
    let (tree, writer) = io::pipe().map_err(Error::io("creating", "a pipe"))?;
    let task = Task::StreamTree {
        latest: content.latest,
        ledger: content.ledger.to_owned(),
    };
    let streams = Streams {
        input: None,
        output: Output::File(OwnedFd::from(writer)),
    };
    let mut tree = Cancellable::new(tree, content.cancel);
    let (streamed, written) = thread::scope(|scope| {
        let writing = scope.spawn(move || write_tree(folder, &mut tree));
        let workspace = content.workspace;
        let streamed = workspace.perform(&task, streams);
        (streamed, writing.join())
    });
    if content.cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    streamed?;
    written.map_err(|_| Error::Internal("writing a sandbox panicked".to_owned()))?
}

impl StageBuild<'_> {
    /// Makes a sandbox of the stage's tree.
    pub(super) fn unfold(&self, folder: &Path) -> Result<(), Error> {
        unfold(&self.content(), folder)?;
        self.warn_of_locked_folders(folder);
        Ok(())
    }

    fn warn_of_locked_folders(&self, folder: &Path) {
        if !Uid::effective().is_root() && has_locked_folder(folder) {
            let text = format!(
                "{} has folders that their owner may not write to: chmod -R u+rwX comes before \
                 rm, or build with --fix-perms",
                folder.display()
            );
            self.warn(&text);
        }
    }
}

fn make_folder(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().mode(0o755).create(path);
    made.map_err(Error::io("creating", path))
}

fn write_tree(folder: &Path, tree: &mut (dyn io::Read + Send)) -> Result<(), Error> {
    if Uid::effective().is_root() {
        let put = layer::put(tree, folder, &mut Ledger::default(), None, &mut |path| {
            Ok(path.to_vec())
        });
        put.map_err(|error| Error::from(crate::sandbox::Failure::from(error)))?;
        return Ok(());
    }
    let streams = Streams {
        input: Some(tree),
        ..Streams::default()
    };
    // Its root is the caller, who enters and fills folders of any mode.
    Namespace::new(Identity::Single)?.perform(folder, &Task::PutTree, streams)?;
    Ok(())
}

/// What was there before is back when the sandbox cannot get there.
fn put_in_place(tree: &Path, folder: &Path, old: &Path) -> Result<(), Error> {
    let had_one = match fs::rename(folder, old) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(Error::io("replacing", folder)(error)),
    };
    let Err(error) = fs::rename(tree, folder) else {
        return Ok(());
    };
    if had_one {
        fs::rename(old, folder).map_err(Error::io("putting back", folder))?;
    }
    Err(Error::io("writing", folder)(error))
}

/// Removes a tree in which there may be folders that the caller may not write to.
fn remove(tree: &Path) -> Result<(), Error> {
    let Ok(found) = fs::symlink_metadata(tree) else {
        return Ok(());
    };
    let removing = || Error::io("removing", tree);
    if !found.is_dir() {
        return fs::remove_file(tree).map_err(removing());
    }
    if Uid::effective().is_root() {
        return fs::remove_dir_all(tree).map_err(removing());
    }
    let namespace = Namespace::new(Identity::Auto)?;
    namespace.perform(tree, &Task::RemoveTree, Streams::default())?;
    fs::remove_dir(tree).map_err(removing())
}

fn has_locked_folder(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let Ok(entries) = fs::read_dir(folder) else {
        return true;
    };
    let is_locked =
        fs::symlink_metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o700 != 0o700);
    let mut folders = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    is_locked || folders.any(|entry| has_locked_folder(&entry.path()))
}
