//! Where on the disk trees lie that have nothing to do with each other.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

/// Has the file system lay the folders that will be made in this one far from each other, if it
/// knows such a wish.
///
/// Ext4 makes new inodes close to those of the folder, and without a journal it passes over each
/// that was removed less than some minutes ago. Whoever unpacks a tree where another was removed
/// waits 50 times as long for every file.
pub(crate) fn keep_apart(folder: &Path) {
    if let Err(error) = mark(folder) {
        tracing::debug!("trees in {} are not kept apart: {error}", folder.display());
    }
}

fn mark(folder: &Path) -> io::Result<()> {
    let folder = File::open(folder)?;
    let flags = ioctl_getflags(&folder)?;
    if !flags.contains(IFlags::TOPDIR) {
        ioctl_setflags(&folder, flags | IFlags::TOPDIR)?;
    }
    Ok(())
}
