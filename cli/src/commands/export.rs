//! `export`: the root file system of an image as a tar archive.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use cooperage_image::{Cancel, Error, replace::Replacement};

use super::build;
use crate::config::RegistryArgs;
use crate::exit;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cooperage export --file ubuntu.tar ubuntu.img
  cooperage export lolcow.sif | tar -t")]
pub(crate) struct Args {
    /// The image: a SIF, a squashfs, an ext3 or a folder.
    image: PathBuf,
    /// The archive to make; it goes to standard output without this.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let cancel = Cancel::default();
    build::cancel_on_signals(&cancel)?;
    let exported = export(args, &cancel);
    if let Err(error) = &exported {
        build::tell(error, "");
    }
    Ok(exit::code_for(exported.is_ok()))
}

fn export(args: &Args, cancel: &Cancel) -> Result<(), Error> {
    let engine = build::engine(&RegistryArgs::default());
    let Some(file) = &args.file else {
        return engine.export(&args.image, &mut io::stdout(), cancel);
    };
    let mut archive = Replacement::of(file)?;
    engine.export(&args.image, archive.file(), cancel)?;
    archive.finish()
}
