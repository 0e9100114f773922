//! `store`: what the images of a hub take on its disk, and the removal of what nothing needs.

use std::process::ExitCode;

use clap::Subcommand;
use cooperage_protocol::admin::{Clean, StoreUsage};

use crate::config::DataFolder;
use crate::hub::Hub;
use crate::output::{self, FormatArgs};

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cooperage store show")]
pub(crate) enum Command {
    /// Show how much the images take, and how much of it they share.
    Show(Show),
    /// Remove at once what nothing needs any more; the hub does so itself from time to time.
    Clean(CleanArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage store show --format json")]
pub(crate) struct Show {
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage store clean --unused-minutes 0")]
pub(crate) struct CleanArgs {
    /// How long nothing must have needed it; the hub's setting when left out.
    #[arg(long, value_name = "N")]
    unused_minutes: Option<u64>,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Show(args) => {
            let usage = Hub::of(&args.data.path)?.store()?;
            args.format.print(&usage, table)?;
        }
        Command::Clean(args) => {
            let clean = Clean {
                unused_minutes: args.unused_minutes,
            };
            let cleaned = Hub::of(&args.data.path)?.clean_store(&clean)?;
            args.format.print(&cleaned, |cleaned| {
                let size = output::size(cleaned.bytes);
                format!("{} objects removed, {size}\n", cleaned.objects)
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(usage: &StoreUsage) -> String {
    let row = |name: &str, count: u64, bytes: u64| {
        [name.to_owned(), count.to_string(), output::size(bytes)]
    };
    let rows = [
        row("images", usage.images, usage.image_bytes),
        row("objects", usage.objects, usage.object_bytes),
        row("unused", usage.unused_objects, usage.unused_bytes),
    ];
    output::table(["KIND", "COUNT", "SIZE"], &rows)
}
