//! Runs one script of a definition in a sandbox and tells why it ended.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use super::channel::{self, Exceeded, Job as AnyJob, Report};
use super::lend::Lent;
use super::namespace::{Helper, broken, is_offline, unexpected};
use super::{Bind, Namespace, Network, Workspace, mounts};
use crate::engine::{Cancel, Limits};
use crate::error::{Error, FailureKind};

/// How often somebody looks whether the build was cancelled.
const TICK: u16 = 100;
/// What Singularity builds with.
const UMASK: u32 = 0o002;

/// A section that is run, and thereby where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Section {
    /// Like `Setup`, when there is nothing in the root file system yet.
    Pre,
    /// With the machine's programs, the root file system writable beside them.
    Setup,
    /// Like `Setup`, but allowed to mount: a bootstrap program of the machine, not a script.
    Bootstrap,
    /// Like `Setup`: a program of the machine that works on a file of an image.
    Unpack,
    /// In the root file system.
    Post,
    /// In the root file system, read-only.
    Test,
    /// Like `Test`, with a layer over the root file system that takes what is written.
    TestWritable,
}

/// A script and its surroundings.
#[derive(Debug)]
pub struct ScriptRun<'a> {
    /// What is run, and where.
    pub section: Section,
    /// Program and arguments; they name [`Section::script_path`] where there is a body.
    pub command: Vec<String>,
    /// The script's text, unless it lies in the root file system already.
    pub body: Option<&'a str>,
    /// All of the environment.
    pub environment: Vec<(String, String)>,
    /// The folder that `%setup` starts in; it sees it read-only.
    pub context: Option<&'a Path>,
    /// What it sees of the machine besides; only where the image is the root directory.
    pub binds: &'a [Bind],
    /// What it reaches.
    pub network: Network,
    /// What it may use; the time is the whole build's and ends it by its [`Cancel`].
    pub limits: Limits,
}

/// A script as it is sent to the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) section: Section,
    pub(super) binds: Vec<Bind>,
    pub(super) command: Vec<String>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) umask: u32,
    pub(super) single: bool,
    #[serde(with = "limits_as_numbers")]
    pub(super) limits: Limits,
}

mod limits_as_numbers {
    //! The time limit is kept outside; the others are numbers.

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::engine::Limits;

    pub(super) fn serialize<S: Serializer>(limits: &Limits, to: S) -> Result<S::Ok, S::Error> {
        (limits.memory, limits.processes, limits.disk).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Limits, D::Error> {
        let (memory, processes, disk) = Deserialize::deserialize(from)?;
        Ok(Limits {
            time: None,
            memory,
            processes,
            disk,
        })
    }
}

impl Section {
    /// Name in a definition, without the percent sign; what is no part of one has none.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Bootstrap | Self::Unpack => return None,
            Self::Pre => "pre",
            Self::Setup => "setup",
            Self::Post => "post",
            Self::Test | Self::TestWritable => "test",
        })
    }

    /// Where the sandbox has the script.
    pub fn script_path(self) -> Option<&'static str> {
        match self {
            Self::Pre => Some("/run/cooperage/pre"),
            Self::Setup => Some("/run/cooperage/setup"),
            Self::Post => Some("/.post.script"),
            Self::Bootstrap | Self::Unpack | Self::Test | Self::TestWritable => None,
        }
    }

    /// Where the script sees the root file system of the image.
    pub fn rootfs(self) -> &'static str {
        if self.is_on_host() {
            mounts::SETUP_ROOTFS
        } else {
            "/"
        }
    }

    pub(super) fn is_on_host(self) -> bool {
        matches!(
            self,
            Self::Pre | Self::Setup | Self::Bootstrap | Self::Unpack
        )
    }

    pub(super) fn is_read_only(self) -> bool {
        self == Self::Test
    }

    pub(super) fn mounts(self) -> bool {
        self == Self::Bootstrap
    }

    pub(super) fn working_folder(self) -> &'static str {
        if matches!(self, Self::Pre | Self::Setup) {
            mounts::SETUP_CONTEXT
        } else {
            "/"
        }
    }

    /// What the build's disk limit counts; the first is on the build's file system.
    pub(super) fn disk_folders(self) -> Vec<&'static str> {
        if self.is_on_host() {
            vec![self.rootfs(), "/tmp", "/var/tmp"]
        } else {
            vec!["/"]
        }
    }
}

/// Runs a script. Both its streams go to `output` as they come.
pub fn run_script(
    workspace: &Workspace,
    run: &ScriptRun<'_>,
    output: &mut dyn FnMut(&[u8]),
    cancel: &Cancel,
) -> Result<(), Error> {
    let lent = if run.section.is_on_host() {
        None
    } else {
        Some(Lent::to(workspace)?)
    };
    let ended = Running::start(workspace, run)?.follow(output, cancel);
    let returned = lent.map_or(Ok(()), |lent| lent.take_back(workspace));
    verdict(run, ended?)?;
    returned
}

struct Running {
    helper: Helper,
    output: PipeReader,
}

impl Running {
    fn start(workspace: &Workspace, run: &ScriptRun<'_>) -> Result<Self, Error> {
        let namespace: &Namespace = workspace.namespace();
        let mut start = workspace.start();
        start.offline = is_offline(run.network);
        start.context = run.context.map(PathBuf::from);
        start.binds = run.binds.to_vec();
        if run.context.is_some() {
            workspace.make_folder(mounts::CONTEXT)?;
        }
        if run.section == Section::TestWritable {
            workspace.make_folder(mounts::LAYER)?;
        }
        mounts::binds::make_places(workspace, run.binds)?;

        let (output, writer) = io::pipe().map_err(broken)?;
        let second = writer.try_clone().map_err(broken)?;
        let helper = namespace.start(&start, writer.into(), second.into())?;
        channel::send(&helper.control, &AnyJob::Script(job(namespace, run))).map_err(broken)?;
        Ok(Self { helper, output })
    }

    /// Passes on the output until the script and all it started have ended.
    fn follow(mut self, output: &mut dyn FnMut(&[u8]), cancel: &Cancel) -> Result<Report, Error> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            if cancel.is_cancelled() {
                self.helper.kill()?;
                return Err(Error::Cancelled);
            }
            if !self.has_output()? {
                continue;
            }
            match self.output.read(&mut buffer).map_err(broken)? {
                0 => return self.helper.conclude(),
                count => output(&buffer[..count]),
            }
        }
    }

    fn has_output(&self) -> Result<bool, Error> {
        let mut waiting = [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::from(TICK)) {
            Ok(count) => Ok(count > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(broken(error.into())),
        }
    }
}

fn job(namespace: &Namespace, run: &ScriptRun<'_>) -> Job {
    Job {
        section: run.section,
        binds: run.binds.to_vec(),
        command: run.command.clone(),
        body: run.body.map(|body| body.as_bytes().to_vec()),
        environment: run.environment.clone(),
        umask: if run.section.mounts() { 0o022 } else { UMASK },
        single: namespace.is_single(),
        limits: run.limits,
    }
}

fn verdict(run: &ScriptRun<'_>, report: Report) -> Result<(), Error> {
    let section = run.section;
    let exceeded = match report {
        Report::Exited(0) => return Ok(()),
        Report::Exited(status) => {
            return Err(Error::Script {
                section: section.name().unwrap_or_default().to_owned(),
                status,
            });
        }
        Report::Exceeded(exceeded) => exceeded,
        other => return Err(unexpected(&other)),
    };
    let (kind, message) = match exceeded {
        Exceeded::Memory => (FailureKind::Memory, bytes_over("memory", run.limits.memory)),
        Exceeded::Disk => (FailureKind::Disk, bytes_over("disk", run.limits.disk)),
        Exceeded::DiskFull => (FailureKind::Disk, "no space is left on the disk".to_owned()),
        Exceeded::Processes => {
            let count = run.limits.processes.unwrap_or(0);
            (
                FailureKind::Processes,
                format!("limit of {count} processes was reached"),
            )
        }
    };
    Err(limit_error(section, kind, &message))
}

fn bytes_over(what: &str, limit: Option<u64>) -> String {
    format!(
        "{what} limit of {} MiB was reached",
        limit.unwrap_or(0) >> 20
    )
}

fn limit_error(section: Section, kind: FailureKind, message: &str) -> Error {
    let place = section.name().map(|name| format!("%{name}: "));
    Error::Limit {
        kind,
        message: format!("{}{message}", place.unwrap_or_default()),
        section: section.name().map(str::to_owned),
    }
}
