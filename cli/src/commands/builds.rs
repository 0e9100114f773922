//! `builds`: lists builds.

use std::process::ExitCode;

use cooperage_protocol::admin::Build;
use cooperage_protocol::{BuildState, CollectionName};

use crate::config::DataFolder;
use crate::hub::Hub;
use crate::output::{self, FormatArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage builds lab/tool --format json")]
pub(crate) struct Args {
    /// Only builds of this collection.
    #[arg(value_name = "OWNER/REPO")]
    collection: Option<CollectionName>,
    /// How many at most.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let builds = Hub::of(&args.data.path)?.builds(args.collection.as_ref(), args.limit)?;
    args.format.print(&builds, |builds| table(builds))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds for people.
pub(crate) fn table(builds: &[Build]) -> String {
    let rows: Vec<_> = builds
        .iter()
        .map(|build| {
            [
                build.id.to_string(),
                format!("{}:{}", build.collection, build.tag),
                build.commit.chars().take(12).collect(),
                build.state.as_str().to_owned(),
                output::time(Some(build.queued_at)),
                result(build),
            ]
        })
        .collect();
    output::table(
        ["BUILD", "IMAGE", "COMMIT", "STATE", "QUEUED", "RESULT"],
        &rows,
    )
}

/// What came of a build, in one line.
pub(crate) fn result(build: &Build) -> String {
    match (&build.image, &build.failure) {
        (Some(image), _) => format!("{} {}", image.digest, output::size(image.size)),
        (None, Some(failure)) if build.state == BuildState::Cancelled => failure.message.clone(),
        (None, Some(failure)) => format!("{}: {}", failure.kind.as_str(), failure.message),
        (None, None) => "-".to_owned(),
    }
}
