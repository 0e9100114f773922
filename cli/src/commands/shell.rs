//! `shell`: a shell in an image.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use cooperage_image::runtime::Action;

use crate::container;

#[derive(Debug, clap::Args)]
#[command(override_usage = "cooperage shell [OPTIONS] IMAGE [ARGUMENT]...")]
#[command(after_help = "\
Examples:
  cooperage shell lolcow.sif
  cooperage shell --shell /bin/zsh --writable sandbox/")]
pub(crate) struct Args {
    #[command(flatten)]
    container: container::ContainerArgs,
    /// The shell, a path of the image; otherwise bash or sh.
    #[arg(long, short = 's', value_name = "PATH")]
    shell: Option<PathBuf>,
    /// The image, and arguments of the shell.
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "IMAGE")]
    words: Vec<OsString>,
}

pub(crate) fn run(args: Args) -> ExitCode {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        eprintln!("Singularity: Invoking an interactive shell within container...\n");
    }
    container::start(&args.container, args.words, |words| {
        Action::Shell(args.shell, words)
    })
}
