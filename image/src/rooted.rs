//! Opening what a path leads to below a folder that no link and no `..` leaves.

use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::path::Arg;

/// Any rename or mount on the machine meanwhile makes the kernel ask for another try at a path
/// with `..` in it, and a busy machine has many (openat2(2), `EAGAIN`).
const TRIES: u32 = 2000;
const PAUSE: Duration = Duration::from_millis(1);

/// Opens a path; absolute ones and links lead below `root`, whatever they say.
pub(crate) fn open(
    root: impl AsFd,
    path: impl Arg + Copy,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    resolve_to(root, path, flags, resolve)
}

/// Opens a path that has no links on it; `ELOOP` where it has.
pub(crate) fn open_without_links(
    root: impl AsFd,
    path: impl Arg + Copy,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    resolve_to(root, path, flags, resolve)
}

fn resolve_to(
    root: impl AsFd,
    path: impl Arg + Copy,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC;
    for _ in 0..TRIES {
        match openat2(root.as_fd(), path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => thread::sleep(PAUSE),
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}
