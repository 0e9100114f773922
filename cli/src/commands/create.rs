//! `create`: an empty image of Singularity 2.

use std::path::PathBuf;
use std::process::ExitCode;

use cooperage_image::{Error, classic};

use crate::exit;
use crate::progress::{ProgressArgs, Voice};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The image is an ext3 file system that Singularity and Apptainer read. It takes no more of the disk
than what is in it.

Example:
  cooperage create --size 2000 ubuntu.img
  cooperage import ubuntu.img docker://ubuntu")]
pub(crate) struct Args {
    /// The image to make.
    #[arg(value_name = "IMAGE.img")]
    image: PathBuf,
    /// How much it can hold, in MiB.
    #[arg(long, short, default_value_t = 768)]
    size: u64,
    /// Overwrite an image that exists.
    #[arg(long, short = 'F')]
    force: bool,
    #[command(flatten)]
    progress: ProgressArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let order = classic::Create {
        size: args.size,
        overwrite: args.force,
    };
    let display = args.progress.display(Voice::Classic);
    match classic::create(&args.image, order, &|event| display.show(&event)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Error::Exists(_)) => {
            eprintln!("ERROR: Image file exists, not overwriting.");
            Ok(exit::code_for(false))
        }
        Err(error) => Err(error.into()),
    }
}
