//! `cancel`: stops a build that is queued or running.

use std::process::ExitCode;

use cooperage_protocol::BuildId;

use super::builds;
use crate::config::DataFolder;
use crate::hub::Hub;
use crate::output::FormatArgs;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage cancel 0198c5f0-6f4c-7d3e-9b1a-2f7d5f1c9e42")]
pub(crate) struct Args {
    /// The build's id, as `cooperage builds` lists it.
    build: BuildId,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let build = Hub::of(&args.data.path)?.cancel(args.build)?;
    args.format
        .print(&build, |build| builds::table(std::slice::from_ref(build)))?;
    Ok(ExitCode::SUCCESS)
}
