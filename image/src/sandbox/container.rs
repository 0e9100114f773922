//! A container that a user's program runs in: the caller's own ids, a root directory of its own,
//! and nobody between the caller and the program.
//!
//! Everything happens in the calling process, which has one thread, and then becomes the program:
//!
//! 1. [`Root::enter`] makes the namespaces. Root of the machine needs a mount namespace; everybody
//!    else a user namespace besides, in which they have the id that they have outside.
//! 2. [`Root::gather`] takes hold of all that is to be seen inside, as long as the machine's tree
//!    is there.
//! 3. [`Root::into_session`] makes a memory file system the root directory, with the image below
//!    it, so that what the image has can be looked at.
//! 4. [`Session::show`] puts the places that the image lacks in front of it, by an overlay or by
//!    bind mounts, makes that the root directory and mounts there what was gathered.
//! 5. [`Program::start`] becomes the program.

mod aside;
mod fuse;
mod place;
mod process;
mod root;
mod session;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid};
use rustix::fs::CWD;
use rustix::mount::open_tree;

use super::child::machine;
use super::failure::Failure;
use super::mounts;

pub(crate) use aside::{Mounted, mount as mount_squashfs};
pub(crate) use fuse::can_be_used as fuse_can_be_used;
pub(crate) use place::{Place, Source};
pub(crate) use process::Program;
pub(crate) use root::{Surface, Writing};
pub(crate) use session::Session;

/// Where an image's files are.
#[derive(Debug)]
pub(crate) enum Files {
    /// In a folder.
    Folder(PathBuf),
    /// In a squashfs that is mounted.
    Squashfs(Mounted),
}

/// What the container has of its own, besides the mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Isolation {
    /// Process ids.
    pub processes: bool,
    /// Message queues and shared memory.
    pub ipc: bool,
}

/// The root directory of a container to be, with the namespaces around it.
#[derive(Debug)]
pub(crate) struct Root {
    tree: OwnedFd,
    own_users: bool,
}

impl Root {
    /// Enters the namespaces and takes hold of the image's files.
    pub(crate) fn enter(files: Files, isolation: Isolation) -> Result<Self, Failure> {
        let root = match files {
            Files::Folder(folder) => {
                let own_users = needs_user_namespace()?;
                leave_users(own_users, Inside::Caller)?;
                let tree =
                    open_tree(CWD, &folder, mounts::CLONE).map_err(mounts::shown(&folder))?;
                Self { tree, own_users }
            }
            Files::Squashfs(Mounted { tree, users }) => {
                outer_ids();
                if let Some(users) = &users {
                    setns(users, CloneFlags::CLONE_NEWUSER)
                        .map_err(machine("entering the namespace of the image's files"))?;
                }
                let own_users = users.is_some();
                leave_users(own_users, Inside::CallerAgain)?;
                Self { tree, own_users }
            }
        };
        isolate(isolation)?;
        Ok(root)
    }
}

/// Who the caller is in a new user namespace.
#[derive(Debug, Clone, Copy)]
enum Inside {
    /// Who it is outside.
    Caller,
    /// Root.
    Root,
    /// Who it was before it was root.
    CallerAgain,
}

/// Root of a container may not be allowed what root of the machine is.
fn needs_user_namespace() -> Result<bool, Failure> {
    if !Uid::effective().is_root() {
        return Ok(true);
    }
    match unshare(CloneFlags::CLONE_NEWNS) {
        Ok(()) => Ok(false),
        Err(Errno::EPERM) => Ok(true),
        Err(error) => Err(machine("making a mount namespace")(error)),
    }
}

/// Makes a mount namespace, in a user namespace if need be. Mounts of the machine keep coming in,
/// such as those of an automounter; ours do not go out.
fn leave_users(own_users: bool, inside: Inside) -> Result<(), Failure> {
    let (uid, gid) = outer_ids();
    if own_users {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(|error| {
            Failure::machine(
                &format!("making a user namespace ({})", super::USER_NAMESPACES_HELP),
                error,
            )
        })?;
        map_ids(inside, uid, gid).map_err(|error| Failure::machine("mapping ids", error))?;
    } else {
        unshare(CloneFlags::CLONE_NEWNS).map_err(machine("making a mount namespace"))?;
    }
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(machine("keeping mounts to the container"))
}

/// The ids of the caller outside; a namespace does not know them any more once it is entered.
fn outer_ids() -> (u32, u32) {
    static IDS: std::sync::OnceLock<(u32, u32)> = std::sync::OnceLock::new();
    *IDS.get_or_init(|| (Uid::effective().as_raw(), Gid::effective().as_raw()))
}

fn map_ids(inside: Inside, uid: u32, gid: u32) -> io::Result<()> {
    let line = |id: u32| match inside {
        Inside::Caller => format!("{id} {id} 1"),
        Inside::Root => format!("0 {id} 1"),
        Inside::CallerAgain => format!("{id} 0 1"),
    };
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", line(uid))?;
    fs::write("/proc/self/gid_map", line(gid))
}

fn isolate(isolation: Isolation) -> Result<(), Failure> {
    let mut flags = CloneFlags::empty();
    flags.set(CloneFlags::CLONE_NEWPID, isolation.processes);
    flags.set(CloneFlags::CLONE_NEWIPC, isolation.ipc);
    if flags.is_empty() {
        return Ok(());
    }
    unshare(flags).map_err(machine("making namespaces"))?;
    if isolation.processes {
        process::split()?;
    }
    Ok(())
}
