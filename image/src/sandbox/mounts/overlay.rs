//! The overlay that a build's root file system is: folders that stay as they are, and one over them
//! that takes what changes.
//!
//! Every process of a build makes it again, one after the other. It outlives no process, and
//! nothing of it is known to the machine.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, FileTimes};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, open_tree,
};

use super::{CLONE, ROOTFS, UPPER, WORK, attach, keep_to_ourselves, shown};
use crate::sandbox::failure::Failure;

/// Where a workspace has one of the folders below, the uppermost first.
pub(in crate::sandbox) fn lower(index: usize) -> String {
    format!("lower-{index}")
}

/// Shows the folders below in their places below the current folder.
pub(in crate::sandbox) fn show_lowers(lowers: Option<&[PathBuf]>) -> Result<(), Failure> {
    let lowers = lowers.unwrap_or_default();
    if !lowers.is_empty() {
        keep_to_ourselves()?;
    }
    for (index, path) in lowers.iter().enumerate() {
        let tree = open_tree(CWD, path, CLONE).map_err(shown(path))?;
        attach(&tree, Path::new(&lower(index)))?;
    }
    Ok(())
}

/// Mounts the overlay where the root file system is.
pub(in crate::sandbox) fn lay(lowers: Option<&[PathBuf]>) -> Result<(), Failure> {
    let Some(lowers) = lowers else {
        return Ok(());
    };
    keep_to_ourselves()?;
    // With nothing below, the place of the first is an empty folder.
    let names: Vec<String> = (0..lowers.len().max(1)).map(lower).collect();
    if !Path::new(UPPER).exists() {
        make_like(Path::new(UPPER), Path::new(&names[0]))?;
    }
    // It remembers that nothing was synced; nothing of a build has to be on disk before its end.
    let begin_anew = || -> io::Result<()> {
        if Path::new(WORK).exists() {
            fs::remove_dir_all(WORK)?;
        }
        fs::create_dir(WORK)
    };
    begin_anew().map_err(Failure::io("creating", WORK))?;
    attach(&made_of(&names.join(":"), UPPER, WORK)?, Path::new(ROOTFS))
}

/// An overlay of folders below the current one.
pub(super) fn made_of(lowers: &str, upper: &str, work: &str) -> Result<OwnedFd, Failure> {
    let make = || {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(context.as_fd(), "lowerdir", lowers)?;
        fsconfig_set_string(context.as_fd(), "upperdir", upper)?;
        fsconfig_set_string(context.as_fd(), "workdir", work)?;
        fsconfig_set_string(context.as_fd(), "index", "off")?;
        for flag in ["userxattr", "volatile"] {
            fsconfig_set_flag(context.as_fd(), flag)?;
        }
        fsconfig_create(context.as_fd())?;
        let restrictions = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, restrictions)
    };
    make().map_err(|error| Failure::machine("laying a writable layer over the image", error))
}

/// What an overlay's uppermost folder says of itself is what the root directory is.
fn make_like(folder: &Path, model: &Path) -> Result<(), Failure> {
    let failed = || Failure::io("creating", folder);
    let wanted = fs::metadata(model).map_err(Failure::io("reading", model))?;
    DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .map_err(failed())?;
    chown(folder, Some(wanted.uid()), Some(wanted.gid())).map_err(failed())?;
    fs::set_permissions(folder, wanted.permissions()).map_err(failed())?;
    for name in xattr::list(model).into_iter().flatten() {
        if let Some(value) = xattr::get(model, &name).map_err(failed())?
            && is_of_image(&name)
        {
            xattr::set(folder, &name, &value).map_err(failed())?;
        }
    }
    let changed = wanted.modified().map_err(failed())?;
    let opened = File::open(folder).map_err(failed())?;
    let times = FileTimes::new().set_accessed(changed).set_modified(changed);
    opened.set_times(times).map_err(failed())
}

fn is_of_image(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_kept = [&b"user."[..], b"security."];
    let is_foreign = name.starts_with(b"user.overlay") || name == b"security.selinux";
    is_kept.iter().any(|kept| name.starts_with(kept)) && !is_foreign
}
