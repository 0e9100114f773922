//! `worker`: registers workers and lists them.

use std::process::ExitCode;

use clap::Subcommand;
use cooperage_protocol::admin::Worker;

use crate::config::DataFolder;
use crate::hub::Hub;
use crate::output::{self, FormatArgs};

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cooperage worker list")]
pub(crate) enum Command {
    /// Register a worker; prints its token, once.
    Add(Add),
    /// List the workers and what they build.
    List(List),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage worker add bench-1 > worker.token")]
pub(crate) struct Add {
    /// A name for people.
    name: String,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage worker list --format json")]
pub(crate) struct List {
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add(args) => {
            let added = Hub::of(&args.data.path)?.add_worker(&args.name)?;
            args.format
                .print(&added, |added| format!("{}\n", added.token))?;
        }
        Command::List(args) => {
            let workers = Hub::of(&args.data.path)?.workers()?;
            args.format.print(&workers, |workers| table(workers))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(workers: &[Worker]) -> String {
    let rows: Vec<_> = workers
        .iter()
        .map(|worker| {
            let builds: Vec<_> = worker.builds.iter().map(ToString::to_string).collect();
            [
                worker.name.clone(),
                output::time(worker.seen_at),
                builds.join(" "),
            ]
        })
        .collect();
    output::table(["NAME", "SEEN", "BUILDS"], &rows)
}
