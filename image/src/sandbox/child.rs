//! The program as its own helper: makes the namespaces, then does one job as their first process.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, chdir, setgroups, setresgid, setresuid};

use super::channel::{self, Job, Report, Start};
use super::failure::Failure;
use super::{init, mounts};
use crate::inside;

/// What the helper is called in `argv[0]` while it makes the namespaces.
pub(super) const HELPER_NAME: &str = "cooperage-sandbox";
/// What it is called once it is their first process.
const FIRST_PROCESS_NAME: &str = "cooperage-init";

static CAN_BE_HELPER: AtomicBool = AtomicBool::new(false);

/// Becomes a helper inside a user namespace if this process was executed as one; returns at once
/// otherwise. To be called first thing in `main`, before any thread exists.
pub fn enter_if_asked() {
    let name = std::env::args_os().next().unwrap_or_default();
    let run = match name.to_str() {
        Some(HELPER_NAME) => make_namespaces,
        Some(FIRST_PROCESS_NAME) => do_one_job,
        _ => {
            CAN_BE_HELPER.store(true, Ordering::Relaxed);
            return;
        }
    };
    leave(match control().map(|control| run(&control)) {
        Ok(Ok(())) => 0,
        Ok(Err(_)) | Err(_) => 1,
    });
}

/// Whether this program, executed again, becomes a helper.
pub(super) fn can_be_helper() -> bool {
    CAN_BE_HELPER.load(Ordering::Relaxed)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a helper ends here, its caller's main must not run"
)]
fn leave(code: i32) -> ! {
    process::exit(code)
}

/// Standard input is the socket to the program that started us.
fn control() -> io::Result<UnixStream> {
    io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(UnixStream::from)
}

fn make_namespaces(control: &UnixStream) -> io::Result<()> {
    let start: Start = channel::receive(control)?;
    match enter(control, &start).and_then(|()| start_first_process()) {
        Ok(mut first) => first.wait().map(|_| ()),
        Err(failure) => channel::send(control, &Report::Failed(failure)),
    }
}

fn enter(control: &UnixStream, start: &Start) -> Result<(), Failure> {
    chdir(&start.folder).map_err(machine("entering the folder of the build"))?;
    if let Some((uid, gid)) = start.outer {
        // Only root of the machine reaches every context, so it has to show it before it steps down.
        unshare(CloneFlags::CLONE_NEWNS).map_err(machine("making a mount namespace"))?;
        mounts::show_context(start.context.as_deref())?;
        mounts::binds::show(&start.binds)?;
        mounts::overlay::show_lowers(start.lowers.as_deref())?;
        become_user(uid, gid, true)?;
    }

    unshare(CloneFlags::CLONE_NEWUSER).map_err(machine("making a user namespace"))?;
    exchange_ids(control).map_err(|error| Failure::machine("mapping ids", error))?;
    become_user(0, 0, !start.single)?;

    unshare(namespaces(start)).map_err(machine("making namespaces"))?;
    if start.outer.is_none() {
        mounts::show_context(start.context.as_deref())?;
        mounts::binds::show(&start.binds)?;
        mounts::overlay::show_lowers(start.lowers.as_deref())?;
    }
    mounts::overlay::lay(start.lowers.as_deref())?;
    die_with_parent()
}

fn exchange_ids(control: &UnixStream) -> io::Result<()> {
    channel::send(control, &Report::Unshared)?;
    channel::receive(control)
}

fn become_user(uid: u32, gid: u32, drop_groups: bool) -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    if drop_groups {
        setgroups(&[]).map_err(machine("dropping groups"))?;
    }
    setresgid(gid, gid, gid).map_err(machine("changing the group"))?;
    setresuid(uid, uid, uid).map_err(machine("changing the user"))
}

fn namespaces(start: &Start) -> CloneFlags {
    let always = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    if start.offline {
        always | CloneFlags::CLONE_NEWNET
    } else {
        always
    }
}

/// A change of user makes the kernel forget this wish, so it comes after the last one.
fn die_with_parent() -> Result<(), Failure> {
    set_pdeathsig(Signal::SIGKILL).map_err(machine("tying the sandbox to its parent"))
}

/// The process that unshared a PID namespace is not in it; its first child is.
fn start_first_process() -> Result<process::Child, Failure> {
    let control = io::stdin().as_fd().try_clone_to_owned();
    let control: OwnedFd = control.map_err(Failure::io("copying", "standard input"))?;
    Command::new("/proc/self/exe")
        .arg0(FIRST_PROCESS_NAME)
        .env_clear()
        .stdin(Stdio::from(control))
        .spawn()
        .map_err(Failure::io("starting", "/proc/self/exe"))
}

fn do_one_job(control: &UnixStream) -> io::Result<()> {
    // In this order a parent that dies early leaves nobody behind: it never sends the job.
    if let Err(failure) = die_with_parent() {
        return channel::send(control, &Report::Failed(failure));
    }
    channel::send(control, &Report::Ready)?;

    let report = match channel::receive(control)? {
        Job::Task(task, seat) => mounts::enter_seat(seat)
            .and_then(|()| inside::perform(task, control))
            .map(Report::Done),
        Job::Script(job) => init::run(&job),
    };
    channel::send(control, &report.unwrap_or_else(Report::Failed))
}

/// For `map_err`: the kernel refuses something that the sandbox needs.
pub(super) fn machine(what: &'static str) -> impl FnOnce(nix::Error) -> Failure {
    move |error| Failure::machine(what, error)
}
