//! `expand`: more room in an image of Singularity 2.

use std::path::PathBuf;
use std::process::ExitCode;

use cooperage_image::{Cancel, classic};

use super::build;
use crate::config::RegistryArgs;
use crate::exit;
use crate::progress::{ProgressArgs, Voice};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cooperage expand --size 512 ubuntu.img")]
pub(crate) struct Args {
    /// An image that `create` made.
    #[arg(value_name = "IMAGE.img")]
    image: PathBuf,
    /// By how much it grows, in MiB.
    #[arg(long, short, default_value_t = 768)]
    size: u64,
    #[command(flatten)]
    progress: ProgressArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let cancel = Cancel::default();
    build::cancel_on_signals(&cancel)?;
    let display = args.progress.display(Voice::Classic);
    let order = classic::Expand { by: args.size };
    let engine = build::engine(&RegistryArgs::default());
    let events = |event: cooperage_image::Event<'_>| display.show(&event);
    let expanded = engine.expand(&args.image, order, &events, &cancel);
    if let Err(error) = &expanded {
        build::tell(error, "");
    }
    Ok(exit::code_for(expanded.is_ok()))
}
