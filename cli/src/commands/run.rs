//! `run`: the runscript of an image.

use std::ffi::OsString;
use std::process::ExitCode;

use cooperage_image::runtime::Action;

use crate::container;

#[derive(Debug, clap::Args)]
#[command(override_usage = "cooperage run [OPTIONS] IMAGE [ARGUMENT]...")]
#[command(after_help = "\
The container has the caller's id, home, temporary folders, current folder and environment. Options
come before the image. APPTAINERENV_NAME sets NAME inside, APPTAINER_BIND adds to --bind.

Examples:
  cooperage run lolcow.sif
  cooperage run --bind /data --env THREADS=4 tool.sif --input /data/reads.fq
  cooperage run docker://ubuntu echo hello")]
pub(crate) struct Args {
    #[command(flatten)]
    container: container::ContainerArgs,
    /// The image, and arguments of its runscript.
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "IMAGE")]
    words: Vec<OsString>,
}

pub(crate) fn run(args: Args) -> ExitCode {
    container::start(&args.container, args.words, Action::Run)
}
