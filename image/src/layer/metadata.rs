//! How an entry's owner, mode, attributes and time get onto a file, in the order the kernel needs:
//! a change of owner drops set-id bits and capabilities, so these come after it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Statx, Timespec, Timestamps, Uid, chmodat, chownat, fchmod, fchown,
    futimens, openat, utimensat,
};
use rustix::io::Errno;
use xattr::FileExt;

use super::archive::Member;
use super::error::Error;
use super::ledger::{Device, Ledger, MARK, Unrepresented, status};
use super::tree::Place;
use super::{Xattrs, is_foreign_xattr};

/// Sets everything on an opened file or folder.
pub(super) fn apply_to_file(
    file: &File,
    member: &Member,
    path: &[u8],
    ledger: &mut Ledger,
) -> Result<(), Error> {
    let owner = Some(Uid::from_raw(member.uid));
    let changed = fchown(file, owner, Some(Gid::from_raw(member.gid)));
    let owner = unrepresented_owner(changed, member, path)?;
    fchmod(file, Mode::from_raw_mode(member.mode)).map_err(Error::io("changing mode of", path))?;
    let xattrs = apply_xattrs(file, member, path)?;
    futimens(file, &times(member)).map_err(Error::io("setting the time of", path))?;
    let status = status(file.as_fd(), "").map_err(Error::io("looking at", path))?;
    let is_recorded = ledger.record(
        &status,
        Unrepresented {
            owner,
            device: None,
            xattrs,
        },
    );
    if is_recorded {
        mark(file, &status, path)?;
    }
    Ok(())
}

/// Sets everything on a link, fifo, device or a device's stand-in, which are not opened.
pub(super) fn apply_to_place(
    place: &Place,
    member: &Member,
    device: Option<Device>,
    ledger: &mut Ledger,
) -> Result<(), Error> {
    let (folder, name, path) = (&place.folder, place.name(), &place.path);
    let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    let changed = chownat(
        folder,
        name,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    );
    let owner = unrepresented_owner(changed, member, path)?;
    if member.kind != super::archive::Kind::Symlink {
        chmodat(
            folder,
            name,
            Mode::from_raw_mode(member.mode),
            AtFlags::empty(),
        )
        .map_err(Error::io("changing mode of", path))?;
    }
    utimensat(folder, name, &times(member), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(Error::io("setting the time of", path))?;
    let status = status(folder, name).map_err(Error::io("looking at", path))?;
    ledger.record(
        &status,
        Unrepresented {
            owner,
            device,
            xattrs: wanted_xattrs(member),
        },
    );
    if device.is_some() {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let stand_in = openat(folder, name, flags, Mode::empty());
        let stand_in = stand_in.map_err(Error::io("opening", path))?;
        mark(&File::from(stand_in), &status, path)?;
    }
    Ok(())
}

/// Overlays copy files, and their attributes with them.
fn mark(file: &File, status: &Statx, path: &[u8]) -> Result<(), Error> {
    let inode = status.stx_ino.to_string();
    match file.set_xattr(MARK, inode.as_bytes()) {
        // Such a file system is not below overlays.
        Err(error) if Errno::from_io_error(&error).is_some_and(is_refusal) => Ok(()),
        marked => marked.map_err(Error::io("setting an attribute of", path)),
    }
}

fn unrepresented_owner(
    changed: Result<(), Errno>,
    member: &Member,
    path: &[u8],
) -> Result<Option<(u32, u32)>, Error> {
    match changed {
        Ok(()) => Ok(None),
        Err(error) if is_refusal(error) => Ok(Some((member.uid, member.gid))),
        Err(error) => Err(Error::io("changing the owner of", path)(error)),
    }
}

/// Returns the attributes that the file system refused.
fn apply_xattrs(file: &File, member: &Member, path: &[u8]) -> Result<Xattrs, Error> {
    remove_xattrs(file, path)?;
    let mut refused = Vec::new();
    for (name, value) in wanted_xattrs(member) {
        match file.set_xattr(OsStr::from_bytes(&name), &value) {
            Ok(()) => {}
            Err(error) if Errno::from_io_error(&error).is_some_and(is_refusal) => {
                refused.push((name, value));
            }
            Err(error) => return Err(Error::io("setting an attribute of", path)(error)),
        }
    }
    Ok(refused)
}

/// Takes away what a lower layer's entry for the same folder set.
fn remove_xattrs(file: &File, path: &[u8]) -> Result<(), Error> {
    let Ok(names) = file.list_xattr() else {
        return Ok(());
    };
    for name in names.filter(|name| !is_foreign_xattr(name.as_bytes())) {
        file.remove_xattr(&name)
            .map_err(Error::io("removing an attribute of", path))?;
    }
    Ok(())
}

fn wanted_xattrs(member: &Member) -> Xattrs {
    let wanted = member
        .xattrs
        .iter()
        .filter(|(name, _)| !is_foreign_xattr(name));
    wanted.cloned().collect()
}

fn times(member: &Member) -> Timestamps {
    let time = timespec(member);
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// The entry's time as the system calls take it.
pub(super) fn timespec(member: &Member) -> Timespec {
    Timespec {
        tv_sec: member.mtime.0,
        tv_nsec: i64::from(member.mtime.1),
    }
}

/// Whether the kernel says that this user or this file system cannot, rather than that it broke.
pub(super) fn is_refusal(error: Errno) -> bool {
    [Errno::PERM, Errno::INVAL, Errno::NOTSUP, Errno::OVERFLOW].contains(&error)
}
