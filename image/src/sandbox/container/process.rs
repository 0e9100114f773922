//! The caller's process as a container's: alone, or with one of its own in front of the program
//! where process ids are the container's.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process;

use nix::errno::Errno;
use nix::sys::prctl::{set_no_new_privs, set_pdeathsig};
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, Uid, execve, fork};

use crate::sandbox::child::machine;
use crate::sandbox::failure::Failure;

/// `si_code` of what the terminal sends; the whole foreground gets it, so the program has it.
const SENT_BY_KERNEL: i32 = 0x80;

/// What a process becomes.
#[derive(Debug)]
pub(crate) struct Program {
    /// Where it may be; the first that is there is taken.
    pub(crate) candidates: Vec<PathBuf>,
    /// All its arguments, its own name included.
    pub(crate) arguments: Vec<OsString>,
    /// All of its environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
}

impl Program {
    /// Becomes the program; the error says why not.
    pub(crate) fn start(self) -> Result<Infallible, Errno> {
        if !Uid::effective().is_root() {
            set_no_new_privs()?;
        }
        SigSet::empty().thread_set_mask()?;
        hear_broken_pipes()?;
        let arguments = self.arguments.into_iter().map(c_string);
        let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
        let environment = self.environment.into_iter().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            c_string(name)
        });
        let environment = environment.collect::<Result<Vec<_>, _>>()?;
        let mut worst = Errno::ENOENT;
        for candidate in self.candidates {
            let path = c_string(candidate.into_os_string())?;
            let Err(error) = execve(&path, &arguments, &environment);
            if !matches!(error, Errno::ENOENT | Errno::ENOTDIR) {
                worst = error;
            }
        }
        Err(worst)
    }
}

/// Rust's start ignores the signal, and what is ignored stays so in what a process becomes.
fn hear_broken_pipes() -> Result<(), Errno> {
    #[expect(unsafe_code, reason = "there is no safe way to reset a signal")]
    // SAFETY: the default handler is no code of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.map(drop)
}

fn c_string(text: OsString) -> Result<CString, Errno> {
    CString::new(text.into_vec()).map_err(|_| Errno::EINVAL)
}

/// Goes on as a process of the new namespace of process ids, with its first process and the
/// caller waiting, handing on signals, and ending as it ends.
pub(super) fn split() -> Result<(), Failure> {
    if let Some(first) = divide()? {
        leave(attend(first, first)?);
    }
    set_pdeathsig(Signal::SIGKILL).map_err(machine("tying the container to its parent"))?;
    if let Some(main) = divide()? {
        leave(attend(main, Pid::from_raw(-1))?);
    }
    Ok(())
}

/// As [`duplicate`], with all signals blocked in both.
fn divide() -> Result<Option<Pid>, Failure> {
    SigSet::all()
        .thread_block()
        .map_err(machine("blocking signals"))?;
    duplicate()
}

/// Makes a process like this one: the child's id in the parent, nothing in the child.
pub(super) fn duplicate() -> Result<Option<Pid>, Failure> {
    #[expect(
        unsafe_code,
        reason = "only a process without threads comes here, so all its memory \
                                    is in order in the child"
    )]
    // SAFETY: there is one thread.
    let forked = unsafe { fork() };
    match forked.map_err(machine("making a process"))? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the caller's main is run by the child, and not twice"
)]
pub(super) fn leave(code: i32) -> ! {
    process::exit(code)
}

/// Waits for a process, and for others of its own that `whom` names; gives its exit status.
fn attend(main: Pid, whom: Pid) -> Result<i32, Failure> {
    let waiting = machine("waiting for the container");
    let signals = SignalFd::new(&SigSet::all()).map_err(machine("waiting for the container"))?;
    loop {
        if let Some(status) = reap(main, whom)? {
            return Ok(status);
        }
        let info = match signals.read_signal() {
            Ok(Some(info)) => info,
            Ok(None) | Err(Errno::EINTR) => continue,
            Err(error) => return Err(waiting(error)),
        };
        let number = i32::try_from(info.ssi_signo).unwrap_or_default();
        let Ok(signal) = Signal::try_from(number) else {
            continue;
        };
        match signal {
            Signal::SIGCHLD => {}
            // Whoever started us has to see that all of us stopped.
            Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU => {
                pass(Pid::this(), Signal::SIGSTOP)?;
            }
            _ if info.ssi_code == SENT_BY_KERNEL => {}
            signal => pass(main, signal)?,
        }
    }
}

fn pass(process: Pid, signal: Signal) -> Result<(), Failure> {
    match kill(process, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(machine("handing on a signal")(error)),
    }
}

fn reap(main: Pid, whom: Pid) -> Result<Option<i32>, Failure> {
    loop {
        match waitpid(whom, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == main => return Ok(Some(status)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => {
                return Ok(Some(128 + signal as i32));
            }
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(machine("waiting for the container")(error)),
        }
    }
}
