//! `test`: the test that an image brings along.

use std::ffi::OsString;
use std::process::ExitCode;

use cooperage_image::runtime::Action;

use crate::container;

#[derive(Debug, clap::Args)]
#[command(override_usage = "cooperage test [OPTIONS] IMAGE [ARGUMENT]...")]
#[command(after_help = "\
An image without a test passes.

Example:
  cooperage test tool.sif")]
pub(crate) struct Args {
    #[command(flatten)]
    container: container::ContainerArgs,
    /// The image, and arguments of its test.
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "IMAGE")]
    words: Vec<OsString>,
}

pub(crate) fn run(args: Args) -> ExitCode {
    container::start(&args.container, args.words, Action::Test)
}
