//! `with-parent`: becomes another program that gets a signal when the parent ends.
//!
//! `cooperage up` starts Postgres and its workers through it, so that they end with it also when
//! it is killed and cannot tell them.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Process id of the parent.
    #[arg(long)]
    parent: i32,
    /// The signal to send.
    #[arg(long)]
    signal: Signal,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    prctl::set_pdeathsig(args.signal)?;
    // The parent may have ended before the line above.
    if getppid().as_raw() != args.parent {
        anyhow::bail!("parent {} has ended", args.parent);
    }
    let error = Command::new(&args.command[0])
        .args(&args.command[1..])
        .exec();
    Err(anyhow::Error::new(error).context(format!("running {}", args.command[0].display())))
}
