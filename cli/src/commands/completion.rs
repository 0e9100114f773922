//! `completion`: what a shell has to know to complete command lines.

use std::io::{self, Write};
use std::process::ExitCode;

use clap_complete::Shell;

use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cooperage completion bash > ~/.local/share/bash-completion/completions/cooperage
  cooperage completion zsh > ~/.zfunc/_cooperage
  cooperage completion fish > ~/.config/fish/completions/cooperage.fish")]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut crate::command_line(),
        "cooperage",
        &mut script,
    );
    output::unless_closed(io::stdout().lock().write_all(&script))?;
    Ok(ExitCode::SUCCESS)
}
