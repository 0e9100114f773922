//! The commands, one file each.

mod apps;
mod bootstrap;
mod build;
mod builds;
mod cache;
mod cancel;
mod check;
mod collection;
mod completion;
mod copy;
mod create;
mod credential;
mod diff;
mod exec;
mod expand;
mod export;
mod import;
mod inspect;
mod key;
mod login;
mod logs;
mod man;
mod people;
mod pull;
mod registry;
mod run;
mod serve;
mod shell;
mod store;
mod test;
mod with_parent;
mod work;
mod worker;

use std::process::ExitCode;

use clap::Subcommand;

use crate::{container, up};

pub(crate) use build::{cancel_on_signals, settings};
pub(crate) use logs::tell_end;

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: a private Postgres, the hub, and workers.
    Up(up::Args),
    /// Run the hub alone, with a Postgres of your own.
    Serve(serve::Args),
    /// Run a worker, on this or another machine.
    Work(work::Args),
    /// Connect git repositories, list them, build them, disconnect them.
    #[command(subcommand)]
    Collection(collection::Command),
    /// List builds, newest first.
    Builds(builds::Args),
    /// Show the log of a build.
    Logs(logs::Args),
    /// Cancel a build.
    Cancel(cancel::Args),
    /// Register workers and list them.
    #[command(subcommand)]
    Worker(worker::Command),
    /// Make accounts, list them, shut them out.
    #[command(subcommand)]
    User(people::UserCommand),
    /// Make teams of accounts.
    #[command(subcommand)]
    Team(people::TeamCommand),
    /// Keep a token for a hub.
    Login(login::LoginArgs),
    /// Forget the token for a hub.
    Logout(login::LogoutArgs),
    /// Show what the images of a hub take on its disk, and remove what nothing needs.
    #[command(subcommand)]
    Store(store::Command),
    /// Change the key that the hub signs images with, and list the keys it hands out.
    #[command(subcommand)]
    Key(key::Command),
    /// Build an image from a definition: the engine alone, no hub, as any user.
    Build(build::Args),
    /// Check a definition without building it.
    Check(check::Args),
    /// Run an image: its runscript.
    Run(run::Args),
    /// Run a program of an image.
    Exec(exec::Args),
    /// Start a shell in an image.
    Shell(shell::Args),
    /// Run the test of an image.
    Test(test::Args),
    /// Fetch an image from a registry, a hub or the web.
    Pull(pull::Args),
    /// Show what an image tells of itself: labels, scripts, environment, definition.
    Inspect(inspect::Args),
    /// List the apps in an image.
    Apps(apps::Args),
    /// Show what differs between two images.
    Diff(diff::Args),
    /// Show and remove what is kept between commands.
    #[command(subcommand)]
    Cache(cache::Command),
    /// Create an empty image that can be written to.
    Create(create::Args),
    /// Put a Docker image, another base or an archive into such an image, or into a folder.
    Import(import::Args),
    /// Build a definition into such an image, or into a folder.
    Bootstrap(bootstrap::Args),
    /// Copy files into such an image, or into a folder.
    Copy(copy::Args),
    /// Write the files of an image of any kind as a tar archive.
    Export(export::Args),
    /// Give such an image more room.
    Expand(expand::Args),
    /// Print what makes a shell complete command lines.
    Completion(completion::Args),
    /// Write the pages of the manual.
    Man(man::Args),
    /// Fetch or unpack what is to be run.
    #[command(hide = true)]
    Prepare(container::PrepareArgs),
    /// Ask registries whether an image can be had from them, and as whom.
    #[command(subcommand)]
    Registry(registry::Command),
    /// Run a program that ends when its parent does.
    #[command(hide = true)]
    WithParent(with_parent::Args),
}

impl Command {
    /// Runs the command.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Up(args) => up::run(args),
            Self::Serve(args) => serve::run(&args),
            Self::Work(args) => work::run(args),
            Self::Collection(command) => collection::run(command),
            Self::Builds(args) => builds::run(&args),
            Self::Logs(args) => logs::run(&args),
            Self::Cancel(args) => cancel::run(&args),
            Self::Worker(command) => worker::run(command),
            Self::User(command) => people::run_user(command),
            Self::Team(command) => people::run_team(command),
            Self::Login(args) => login::log_in(&args),
            Self::Logout(args) => login::log_out(&args),
            Self::Store(command) => store::run(command),
            Self::Key(command) => key::run(command),
            Self::Build(args) => build::run(&args),
            Self::Check(args) => check::run(&args),
            Self::Run(args) => Ok(run::run(args)),
            Self::Exec(args) => Ok(exec::run(args)),
            Self::Shell(args) => Ok(shell::run(args)),
            Self::Test(args) => Ok(test::run(args)),
            Self::Prepare(args) => container::prepare(&args),
            Self::Pull(args) => pull::run(&args),
            Self::Inspect(args) => inspect::run(&args),
            Self::Apps(args) => apps::run(&args),
            Self::Diff(args) => Ok(diff::run(&args)),
            Self::Create(args) => create::run(&args),
            Self::Import(args) => import::run(&args),
            Self::Bootstrap(args) => bootstrap::run(&args),
            Self::Cache(command) => cache::run(command),
            Self::Copy(args) => copy::run(&args),
            Self::Export(args) => export::run(&args),
            Self::Expand(args) => expand::run(&args),
            Self::Completion(args) => completion::run(&args),
            Self::Man(args) => man::run(&args),
            Self::Registry(command) => registry::run(command),
            Self::WithParent(args) => with_parent::run(&args),
        }
    }
}
