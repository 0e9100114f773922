//! `logs`: shows the log of a build, also while it grows.

use std::process::ExitCode;

use cooperage_protocol::admin::Build;
use cooperage_protocol::{BuildId, BuildState};

use super::builds;
use crate::config::DataFolder;
use crate::hub::Hub;
use crate::{exit, follow, output};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "With --follow the exit code is 0 when the build succeeded and 1 when it did not.\n\n\
                  Example:\n  cooperage logs 0198c5f0-6f4c-7d3e-9b1a-2f7d5f1c9e42 --follow"
)]
pub(crate) struct Args {
    /// The build's id, as `cooperage builds` lists it.
    build: BuildId,
    /// Go on until the build has ended.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    data: DataFolder,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let hub = Hub::of(&args.data.path)?;
    let mut out = std::io::stdout().lock();
    if args.follow {
        let build = follow::follow(&hub, args.build, &mut out)?;
        tell_end(&build);
        return Ok(exit::code_for(build.state == BuildState::Succeeded));
    }
    let mut log = hub.log(args.build, 0)?;
    output::unless_closed(std::io::copy(&mut log, &mut out).map(drop))?;
    Ok(ExitCode::SUCCESS)
}

/// Says on standard error how a build ended, apart from its log.
pub(crate) fn tell_end(build: &Build) {
    eprintln!(
        "build {} {}: {}",
        build.id,
        build.state.as_str(),
        builds::result(build)
    );
}
