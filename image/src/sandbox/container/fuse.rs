//! Mounts a squashfs without root: the kernel asks a program of the machine for what is in it.
//!
//! The program is no child of the container's and has no part in its mounts, so that it notices
//! that the last process of the container has ended, and ends.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid};
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::sandbox::failure::Failure;

const DEVICE: &str = "/dev/fuse";

/// Whether the caller may use FUSE at all.
pub(crate) fn can_be_used() -> bool {
    open(DEVICE, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

/// The tree of a squashfs, attached nowhere yet.
pub(super) fn mount(
    program: &Path,
    image: &Path,
    offset: u64,
    own_users: bool,
) -> Result<OwnedFd, Failure> {
    // The program inherits it.
    let device = open(DEVICE, OFlags::RDWR, Mode::empty()).map_err(refused("opening /dev/fuse"))?;
    let tree = file_system(&device, own_users).map_err(refused("mounting the image by FUSE"))?;
    serve(program, image, offset, &device)?;
    // A program that died in the background is noticed, as nobody else has the device then.
    drop(device);
    openat(
        &tree,
        ".",
        OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(refused("reading the image by FUSE"))?;
    Ok(tree)
}

fn file_system(device: &OwnedFd, own_users: bool) -> rustix::io::Result<OwnedFd> {
    let (uid, gid) = if own_users {
        (Uid::from_raw(0), Gid::from_raw(0))
    } else {
        (Uid::effective(), Gid::effective())
    };
    let context = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let values = [
        ("source", "image".to_owned()),
        ("fd", device.as_raw_fd().to_string()),
        ("rootmode", "40000".to_owned()),
        ("user_id", uid.to_string()),
        ("group_id", gid.to_string()),
    ];
    for (key, value) in values {
        fsconfig_set_string(&context, key, value)?;
    }
    for flag in ["ro", "allow_other", "default_permissions"] {
        fsconfig_set_flag(&context, flag)?;
    }
    fsconfig_create(&context)?;
    let restrictions = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_RDONLY;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, restrictions)
}

/// Returns when the program has gone to the background and answers.
fn serve(program: &Path, image: &Path, offset: u64, device: &OwnedFd) -> Result<(), Failure> {
    let mut source = OsString::from(format!("offset={offset}"));
    if offset == 0 {
        source = OsString::from("ro");
    }
    let output = Command::new(program)
        .arg("-o")
        .arg(source)
        .arg(image)
        .arg(format!("/dev/fd/{}", device.as_raw_fd()))
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(Failure::io("starting", program))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::machine(
        &format!("{} cannot read the image", program.display()),
        said.trim(),
    ))
}

fn refused(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Failure {
    move |error| Failure::machine(what, error)
}
