//! The first process of a sandbox: confines itself, runs the script and watches the limits.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, sethostname, setsid};
use rustix::process::{PidfdFlags, getpriority_process, pidfd_open, setpriority_process};

use super::channel::{Exceeded, Report};
use super::child::machine;
use super::failure::Failure;
use super::script::{Job, Section};
use super::{capabilities, limits, mounts, syscalls, usage};
use crate::engine::Limits;

/// How often all limits are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Milliseconds between two looks at how many processes came into being: a fork bomb may be over in
/// a few of these.
const SHORT_TICK: u16 = 5;
const MANY_NEW_PROCESSES: u64 = 16;
/// Above the niceness of the watch, which would else wait in line behind a whole fork bomb.
const SCRIPT_IS_NICER_BY: i32 = 10;
/// Counting all files costs time, so it takes a tenth of it at most.
const REST_BETWEEN_WALKS: u32 = 10;
const LONGEST_REST: Duration = Duration::from_secs(10);
/// A disk with less than that is full: file systems keep a little of what a write cannot have.
const FULL: u64 = 1 << 20;

/// Runs a script to its end, or to a limit.
pub(super) fn run(job: &Job) -> Result<Report, Failure> {
    // First, for `/proc` may become read-only.
    limits::set(&job.limits)?;
    mounts::enter_sandbox(job.section, &job.binds)?;
    write_script(job)?;
    confine(job)?;

    let mut watch = Watch::begin(job.section, job.limits);
    let main = start(job)?;
    let ended = supervise(main, &mut watch)?;
    end_everybody()?;
    // Before anything is removed that a full disk would be less full without.
    let report = watch.judge(ended);
    remove_script(job)?;
    Ok(report)
}

fn confine(job: &Job) -> Result<(), Failure> {
    sethostname("cooperage").map_err(machine("naming the sandbox"))?;
    setsid().map_err(machine("leaving the terminal"))?;
    umask(Mode::from_bits_truncate(job.umask));
    chdir(job.section.working_folder()).map_err(machine("entering the script's folder"))?;
    capabilities::reduce(job.section)?;
    syscalls::restrict(job.section, job.single)
}

fn write_script(job: &Job) -> Result<(), Failure> {
    let (Some(path), Some(body)) = (job.section.script_path(), &job.body) else {
        return Ok(());
    };
    remove_script(job)?;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(path)
        .and_then(|mut file| file.write_all(body))
        .map_err(Failure::io("writing", path))
}

fn remove_script(job: &Job) -> Result<(), Failure> {
    let Some(path) = job.section.script_path() else {
        return Ok(());
    };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::io("removing", path)(error))
        }
        _ => Ok(()),
    }
}

fn start(job: &Job) -> Result<Pid, Failure> {
    let Some((program, arguments)) = job.command.split_first() else {
        return Err(Failure::input("script has no interpreter"));
    };
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .spawn();
    let child = started.map_err(|error| not_startable(program, &error))?;
    let pid = Pid::from_raw(child.id().cast_signed());
    yield_to_watch(pid)?;
    Ok(pid)
}

fn yield_to_watch(script: Pid) -> Result<(), Failure> {
    let pid = rustix::process::Pid::from_raw(script.as_raw());
    let niceness = getpriority_process(None)
        .and_then(|own| setpriority_process(pid, own + SCRIPT_IS_NICER_BY));
    match niceness {
        // Over already: it is not taken leave of yet, but a kernel may see it so.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(Failure::machine(
            "lowering the priority of the script",
            error,
        )),
    }
}

fn not_startable(program: &str, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "it, or its interpreter, is not in the image".to_owned(),
        _ if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
            "it is made for another architecture".to_owned()
        }
        _ => error.to_string(),
    };
    Failure::input(format!("{program} cannot be run: {reason}"))
}

/// How the script's own process ended.
#[derive(Clone, Copy)]
enum Ended {
    Status(i32),
    Exceeded(Exceeded),
}

fn supervise(main: Pid, watch: &mut Watch) -> Result<Ended, Failure> {
    let raw = rustix::process::Pid::from_raw(main.as_raw());
    let handle = raw.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    loop {
        // Before the dead are taken leave of: they take the places of the living, too.
        if watch.is_due()
            && let Some(exceeded) = watch.look()
        {
            return Ok(Ended::Exceeded(exceeded));
        }
        if let Some(status) = reap(main)? {
            // A shell that cannot fork gives up before anybody looks; its children are still there.
            let is_crowded = status != 0 && watch.is_at_process_limit();
            let crowded = Ended::Exceeded(Exceeded::Processes);
            return Ok(if is_crowded {
                crowded
            } else {
                Ended::Status(status)
            });
        }
        let mut waiting: Vec<PollFd<'_>> = handle
            .iter()
            .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN))
            .collect();
        match poll(&mut waiting, PollTimeout::from(SHORT_TICK)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(machine("waiting for the script")(error)),
        }
    }
}

/// Takes leave of all that ended, orphans included; tells how the script's process did.
fn reap(main: Pid) -> Result<Option<i32>, Failure> {
    loop {
        let status = match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == main => status,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => 128 + signal as i32,
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(error) => return Err(machine("waiting for the script")(error)),
        };
        return Ok(Some(status));
    }
}

/// What the script left running in the background ends with it.
fn end_everybody() -> Result<(), Failure> {
    match kill(Pid::from_raw(-1), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => return Err(machine("ending the processes of a script")(error)),
    }
    loop {
        match waitpid(None::<Pid>, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(error) => return Err(machine("ending the processes of a script")(error)),
        }
    }
}

/// Looks whether limits are kept.
struct Watch {
    limits: Limits,
    folders: Vec<&'static str>,
    used: u64,
    free: u64,
    next_walk: Instant,
    last_walk: Instant,
    next_look: Instant,
    newest: u64,
}

impl Watch {
    fn begin(section: Section, limits: Limits) -> Self {
        let folders = section.disk_folders();
        let used = limits.disk.map_or(0, |_| usage::disk(&folders));
        let free = usage::free(folders[0]).unwrap_or(0);
        let now = Instant::now();
        Self {
            limits,
            folders,
            used,
            free,
            next_walk: now,
            last_walk: now,
            next_look: now,
            newest: usage::newest_process(),
        }
    }

    fn look(&mut self) -> Option<Exceeded> {
        if self.limits.processes.is_some_and(usage::exceeds_processes) {
            return Some(Exceeded::Processes);
        }
        if self.limits.memory.is_some_and(usage::exceeds_memory) {
            return Some(Exceeded::Memory);
        }
        (Instant::now() >= self.next_walk && self.exceeds_disk()).then_some(Exceeded::Disk)
    }

    /// Whether it is time to look, for a while has passed or processes come by the dozen.
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let newest = usage::newest_process();
        let is_calm = newest.saturating_sub(self.newest) < MANY_NEW_PROCESSES;
        if is_calm && now < self.next_look {
            return false;
        }
        self.newest = newest;
        self.next_look = now + TICK;
        true
    }

    fn is_at_process_limit(&self) -> bool {
        self.limits
            .processes
            .is_some_and(|limit| usage::exceeds_processes(limit.saturating_sub(1)))
    }

    fn exceeds_disk(&mut self) -> bool {
        let Some(limit) = self.limits.disk else {
            return false;
        };
        let free = usage::free(self.folders[0]).unwrap_or(0);
        let is_suspicious = self.used + self.free.saturating_sub(free) > limit;
        if !is_suspicious && self.last_walk.elapsed() < LONGEST_REST {
            return false;
        }
        let begin = Instant::now();
        self.used = usage::disk(&self.folders);
        self.free = free;
        self.last_walk = Instant::now();
        self.next_walk = self.last_walk + begin.elapsed() * REST_BETWEEN_WALKS;
        self.used > limit
    }

    /// A script that fails may have met a limit that nobody saw it meet.
    fn judge(mut self, ended: Ended) -> Report {
        const TOO_LARGE_A_FILE: i32 = 128 + Signal::SIGXFSZ as i32;
        let status = match ended {
            Ended::Exceeded(exceeded) => return Report::Exceeded(exceeded),
            Ended::Status(status) => status,
        };
        if self.exceeds_disk() || self.limits.disk.is_some() && status == TOO_LARGE_A_FILE {
            return Report::Exceeded(Exceeded::Disk);
        }
        let is_full = self
            .folders
            .iter()
            .any(|folder| usage::free(folder).is_some_and(|free| free < FULL));
        if status != 0 && is_full {
            return Report::Exceeded(Exceeded::DiskFull);
        }
        Report::Exited(status)
    }
}
