//! `cache`: what is kept between commands.

use std::process::ExitCode;

use clap::ValueEnum;
use cooperage_image::cache::{self, Entry, Kind};

use crate::config;
use crate::output::{self, FormatArgs};

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Example:
  cooperage cache list
  cooperage cache clean --days 30")]
pub(crate) enum Command {
    /// Show what is kept, and how much it takes.
    List(ListArgs),
    /// Remove it; what others use just now stays.
    Clean(CleanArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cooperage cache list --format json")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cooperage cache clean --days 30 layers")]
pub(crate) struct CleanArgs {
    /// Only these kinds.
    #[arg(value_name = "TYPE")]
    kinds: Vec<KindArg>,
    /// Only what was not used for so many days.
    #[arg(long, short = 'D', value_name = "N", default_value_t = 0)]
    days: u64,
    /// Only show what would be removed.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Understood for Apptainer's sake: nothing is asked.
    #[arg(long, short)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArg {
    Layers,
    Images,
    Trees,
    Downloads,
    Lowers,
    Steps,
    Packs,
    Objects,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Layers => Self::Layers,
            KindArg::Images => Self::Images,
            KindArg::Trees => Self::Trees,
            KindArg::Downloads => Self::Downloads,
            KindArg::Lowers => Self::Lowers,
            KindArg::Steps => Self::Steps,
            KindArg::Packs => Self::Packs,
            KindArg::Objects => Self::Objects,
        }
    }
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    let folder = config::cache_folder();
    match command {
        Command::List(args) => {
            let entries = cache::list(&folder, &Kind::ALL)?;
            args.format.print(&entries, |entries| summary(entries))?;
        }
        Command::Clean(args) => {
            let mut kinds: Vec<Kind> = args.kinds.iter().copied().map(Kind::from).collect();
            if kinds.is_empty() {
                kinds = Kind::ALL.to_vec();
            }
            let old = cache::unused_for(cache::list(&folder, &kinds)?, args.days);
            if old.is_empty() || args.dry_run {
                print!("{}", summary(&old));
                return Ok(ExitCode::SUCCESS);
            }
            let count = old.len();
            let removed = cache::remove(&folder, old)?;
            print!("{}", summary(&removed));
            if removed.len() < count {
                eprintln!("WARNING: {} are in use and stay", count - removed.len());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(entries: &[Entry]) -> String {
    let of = |kind: Kind| entries.iter().filter(move |entry| entry.kind == kind);
    let row = |kind: Kind| {
        let size = of(kind).map(|entry| entry.size).sum();
        let name = format!("{kind:?}").to_lowercase();
        [name, of(kind).count().to_string(), output::size(size)]
    };
    output::table(["TYPE", "COUNT", "SIZE"], &Kind::ALL.map(row))
}
