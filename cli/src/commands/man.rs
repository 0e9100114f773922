//! `man`: a page of the manual for each command.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cooperage man ~/.local/share/man/man1
  man cooperage-build")]
pub(crate) struct Args {
    /// The folder that gets the pages; it is made if it is not there.
    folder: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = args.folder.display();
    fs::create_dir_all(&args.folder).with_context(|| format!("making the folder {name}"))?;
    clap_mangen::generate_to(crate::command_line(), &args.folder)
        .with_context(|| format!("writing pages to {name}"))?;
    Ok(ExitCode::SUCCESS)
}
