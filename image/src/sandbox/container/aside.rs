//! Mounts the squashfs of an image in a process of its own, so that the caller is in the machine's
//! namespaces still when it does not work.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::sys::wait::waitpid;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::{Inside, fuse, leave_users, needs_user_namespace, process};
use crate::sandbox::child::machine;
use crate::sandbox::failure::Failure;

/// Bytes of the reason why it does not work; more of it is cut off.
const LONGEST_REASON: usize = 2048;
/// The tree and its user namespace.
const MOST_FILES: usize = 2;

/// A squashfs that is mounted, attached nowhere yet.
#[derive(Debug)]
pub(crate) struct Mounted {
    pub(super) tree: OwnedFd,
    /// The user namespace that its files belong to, where that is not the caller's. There the
    /// caller is root, so that files of root are the caller's.
    pub(super) users: Option<OwnedFd>,
}

/// Mounts the squashfs at an offset of an image. The calling process must have one thread.
pub(crate) fn mount(program: &Path, image: &Path, offset: u64) -> Result<Mounted, Failure> {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(refused)?;
    let Some(child) = process::duplicate()? else {
        let sent = send(&theirs, &mount_here(program, image, offset));
        process::leave(i32::from(sent.is_err()));
    };
    drop(theirs);
    let mounted = receive(&ours);
    waitpid(child, None).map_err(machine("waiting for the image to be mounted"))?;
    mounted
}

fn mount_here(program: &Path, image: &Path, offset: u64) -> Result<Mounted, Failure> {
    let own_users = needs_user_namespace()?;
    leave_users(own_users, Inside::Root)?;
    let tree = fuse::mount(program, image, offset, own_users)?;
    let path = "/proc/self/ns/user";
    let users = own_users.then(|| File::open(path).map_err(Failure::io("opening", path)));
    let users = users.transpose()?.map(OwnedFd::from);
    Ok(Mounted { tree, users })
}

fn send(socket: &OwnedFd, mounted: &Result<Mounted, Failure>) -> rustix::io::Result<usize> {
    let (files, reason) = match mounted {
        Ok(Mounted { tree, users }) => {
            let users = users.iter().map(AsFd::as_fd);
            let files: Vec<_> = std::iter::once(tree.as_fd()).chain(users).collect();
            (files, "")
        }
        Err(failure) => (Vec::new(), failure.message()),
    };
    let end = reason.floor_char_boundary(LONGEST_REASON);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&files));
    }
    // A message without any byte would look like the end.
    let message = [IoSlice::new(b"."), IoSlice::new(&reason.as_bytes()[..end])];
    sendmsg(socket, &message, &mut control, SendFlags::empty())
}

fn receive(socket: &OwnedFd) -> Result<Mounted, Failure> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut message = [0; 1 + LONGEST_REASON];
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut message)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .map_err(refused)?;
    let mut files = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let mut files = files.next().into_iter().flatten();
    if let Some(tree) = files.next() {
        let users = files.next();
        return Ok(Mounted { tree, users });
    }
    let reason = message.get(1..received.bytes).unwrap_or_default();
    Err(Failure::machine(
        "the image cannot be mounted",
        String::from_utf8_lossy(reason),
    ))
}

fn refused(error: rustix::io::Errno) -> Failure {
    Failure::machine("talking to the process that mounts the image", error)
}
