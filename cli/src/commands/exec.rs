//! `exec`: any program of an image.

use std::ffi::OsString;
use std::process::ExitCode;

use cooperage_image::runtime::Action;

use crate::container;

#[derive(Debug, clap::Args)]
#[command(override_usage = "cooperage exec [OPTIONS] IMAGE COMMAND [ARGUMENT]...")]
#[command(after_help = "\
The exit status is the program's; 127 and 126 say that the image has no such program, or that it
cannot be executed, and 255 that there was no container.

Examples:
  cooperage exec tool.sif python3 analysis.py
  cooperage exec --containall --writable-tmpfs docker://debian sh -c 'apt-get update'")]
pub(crate) struct Args {
    #[command(flatten)]
    container: container::ContainerArgs,
    /// The image, a program of it, and its arguments.
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, value_name = "IMAGE")]
    words: Vec<OsString>,
}

pub(crate) fn run(args: Args) -> ExitCode {
    container::start(&args.container, args.words, Action::Exec)
}
