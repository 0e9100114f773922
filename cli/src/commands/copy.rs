//! `copy`: files of this machine into an image or a folder.

use std::path::PathBuf;
use std::process::ExitCode;

use cooperage_image::files::Pair;
use cooperage_image::{Cancel, Output};

use super::build;
use crate::config::RegistryArgs;
use crate::exit;
use crate::progress::{ProgressArgs, Voice};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cooperage copy ubuntu.img analysis.py data/ /opt/")]
pub(crate) struct Args {
    /// An image that `create` made, or a folder.
    image: PathBuf,
    /// What to copy; folders with all that is in them.
    #[arg(required = true)]
    sources: Vec<String>,
    /// Where to, in the image.
    destination: String,
    #[command(flatten)]
    progress: ProgressArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let pair = |source: &String| Pair {
        source: source.clone(),
        destination: Some(args.destination.clone()),
    };
    let pairs: Vec<Pair> = args.sources.iter().map(pair).collect();
    let output = Output::Writable(args.image.clone());
    let request = build::request_for("copy", Vec::new(), output)?;
    let cancel = Cancel::default();
    build::cancel_on_signals(&cancel)?;
    let display = args.progress.display(Voice::Classic);
    let engine = build::engine(&RegistryArgs::default());
    let copied = engine.copy(&request, &pairs, &|event| display.show(&event), &cancel);
    if let Err(error) = &copied {
        build::tell(error, "");
    }
    Ok(exit::code_for(copied.is_ok()))
}
