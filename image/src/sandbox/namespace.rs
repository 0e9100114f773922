//! Starts helpers inside user namespaces and has them do our own tasks.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use super::channel::{self, Job, Report, Seat, Start};
use super::child::{HELPER_NAME, can_be_helper};
use super::identity::Mapping;
use super::{Identity, Network};
use crate::error::Error;
use crate::inside::{Reply, Task};

/// A user namespace as it is made again for every job.
#[derive(Debug, Clone)]
pub struct Namespace {
    pub(super) mapping: Mapping,
}

/// Bulk data of a task.
#[derive(Default)]
pub struct Streams<'a> {
    /// What the task reads.
    pub input: Option<&'a mut (dyn Read + Send)>,
    /// Where what it writes goes.
    pub output: Output<'a>,
}

/// Where the bulk output of a task goes.
#[derive(Default)]
pub enum Output<'a> {
    /// The task has none.
    #[default]
    Nowhere,
    /// To a writer of this process.
    Writer(&'a mut dyn Write),
    /// Straight to a file or a pipe.
    File(OwnedFd),
}

/// A helper that is killed when it is forgotten.
pub(super) struct Helper {
    pub(super) child: Child,
    pub(super) control: UnixStream,
}

impl Namespace {
    /// Finds the ids that sandboxes of this process have.
    pub fn new(identity: Identity) -> Result<Self, Error> {
        Ok(Self {
            mapping: Mapping::find(identity)?,
        })
    }

    /// A namespace for trees of the caller's own, in which no script runs.
    pub(crate) fn of_caller() -> Result<Self, Error> {
        Ok(Self {
            mapping: Mapping::of_caller()?,
        })
    }

    /// Whether root is the only user inside: owners that a tree should have are then only known
    /// from what was recorded about it.
    pub fn is_single(&self) -> bool {
        self.mapping.is_single()
    }

    /// Another text for every other assignment of ids.
    pub(crate) fn signature(&self) -> String {
        format!("{:?}", self.mapping)
    }

    /// Gives a file of ours to the root of the namespace.
    pub(crate) fn give(&self, path: &Path) -> Result<(), Error> {
        let Some((uid, gid)) = self.mapping.outer() else {
            return Ok(());
        };
        chown(path, Some(uid), Some(gid)).map_err(Error::io("changing the owner of", path))
    }

    /// Whether a user of the machine is one of the users inside.
    pub(crate) fn has_user(&self, uid: u32) -> bool {
        self.mapping.has_user(uid)
    }

    /// Does a task with `folder` as the root directory, out of which no path leads.
    pub fn perform(
        &self,
        folder: &Path,
        task: &Task,
        streams: Streams<'_>,
    ) -> Result<Reply, Error> {
        self.perform_in(&self.start_in(folder), Seat::Folder, task, streams)
    }

    /// Does a task with another root directory than the folder of `start`.
    pub(super) fn perform_in(
        &self,
        start: &Start,
        seat: Seat,
        task: &Task,
        streams: Streams<'_>,
    ) -> Result<Reply, Error> {
        let (stdout, writer) = match streams.output {
            Output::Nowhere => (Stdio::null(), None),
            Output::Writer(writer) => (Stdio::piped(), Some(writer)),
            Output::File(file) => (file.into(), None),
        };
        let mut helper = self.start(start, stdout, Stdio::inherit())?;
        let job = Job::Task(task.clone(), seat);
        channel::send(&helper.control, &job).map_err(broken)?;

        let output = helper.child.stdout.take().zip(writer);
        let fed = exchange(&helper.control, streams.input, output);
        if fed.is_err() {
            helper.kill()?;
        }
        let report = helper.conclude();
        fed?;
        match report? {
            Report::Done(reply) => Ok(reply),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) fn start_in(&self, folder: &Path) -> Start {
        Start {
            folder: folder.to_owned(),
            context: None,
            binds: Vec::new(),
            lowers: None,
            outer: self.mapping.outer(),
            single: self.is_single(),
            offline: false,
        }
    }

    /// Starts a helper and leads it into its namespaces.
    pub(super) fn start(
        &self,
        start: &Start,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Helper, Error> {
        if !can_be_helper() {
            let message = "main has to call sandbox::enter_if_asked first";
            return Err(Error::Internal(message.to_owned()));
        }
        let (control, theirs) = UnixStream::pair().map_err(broken)?;
        let child = Command::new("/proc/self/exe")
            .arg0(HELPER_NAME)
            .env_clear()
            // The terminal's interrupt is for the caller, who then ends the helper in order.
            .process_group(0)
            .stdin(OwnedFd::from(theirs))
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .map_err(Error::io("starting", "/proc/self/exe"))?;
        let helper = Helper { child, control };

        channel::send(&helper.control, start).map_err(broken)?;
        helper.expect(&Report::Unshared)?;
        self.mapping.write(helper.child.id())?;
        channel::send(&helper.control, &()).map_err(broken)?;
        helper.expect(&Report::Ready)?;
        Ok(helper)
    }
}

/// Feeds and drains a task at the same time, so that neither side waits for the other.
fn exchange(
    control: &UnixStream,
    input: Option<&mut (dyn Read + Send)>,
    output: Option<(ChildStdout, &mut dyn Write)>,
) -> Result<(), Error> {
    thread::scope(|scope| {
        let feeder = scope.spawn(move || feed(control, input));
        let drained = match output {
            None => Ok(0),
            Some((mut from, to)) => io::copy(&mut from, to),
        };
        let fed = feeder
            .join()
            .map_err(|_| Error::Internal("feeder panicked".to_owned()))?;
        fed.map_err(Error::io("reading", "input of a task"))?;
        drained
            .map(|_| ())
            .map_err(Error::io("writing", "output of a task"))
    })
}

/// Only an input that cannot be read is an error: when the task no longer listens, its report
/// says why.
fn feed(mut control: &UnixStream, input: Option<&mut (dyn Read + Send)>) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    if let Some(input) = input {
        loop {
            let count = match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    control.shutdown(Shutdown::Both)?;
                    return Err(error);
                }
            };
            if control.write_all(&buffer[..count]).is_err() {
                return Ok(());
            }
        }
    }
    match control.shutdown(Shutdown::Write) {
        Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
        _ => Ok(()),
    }
}

impl Helper {
    /// What the helper says next, failures turned into errors.
    pub(super) fn report(&self) -> Result<Report, Error> {
        match channel::receive(&self.control).map_err(broken)? {
            Report::Failed(failure) => Err(failure.into()),
            report => Ok(report),
        }
    }

    /// What the helper says last. Its namespaces are gone afterwards: the next overlay must not be
    /// mounted while this one still is.
    pub(super) fn conclude(mut self) -> Result<Report, Error> {
        let last = channel::receive(&self.control).map_err(broken)?;
        self.child
            .wait()
            .map_err(Error::io("waiting for", "helper of the sandbox"))?;
        match last {
            Report::Failed(failure) => Err(failure.into()),
            report => Ok(report),
        }
    }

    fn expect(&self, expected: &Report) -> Result<(), Error> {
        let report = self.report()?;
        if std::mem::discriminant(&report) == std::mem::discriminant(expected) {
            return Ok(());
        }
        Err(unexpected(&report))
    }

    /// Kills the helper, and with it everything in its namespace.
    pub(super) fn kill(&mut self) -> Result<(), Error> {
        self.child
            .kill()
            .map_err(Error::io("killing", "helper of the sandbox"))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            tracing::warn!("helper of the sandbox cannot be ended: {error}");
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
pub(super) fn broken(error: io::Error) -> Error {
    Error::Internal(format!("helper of the sandbox went away: {error}"))
}

pub(super) fn unexpected(report: &Report) -> Error {
    Error::Internal(format!("helper of the sandbox said {report:?} out of turn"))
}

/// Whether a network is left out of the namespaces.
pub(super) fn is_offline(network: Network) -> bool {
    network == Network::None
}
