//! The program `cooperage`: reads the command line, runs one command, ends with its exit code.

mod commands;
mod config;
mod container;
mod definition_args;
mod demo;
mod exit;
mod follow;
mod help;
mod hub;
mod login;
mod output;
mod progress;
mod up;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use tracing_subscriber::EnvFilter;

use crate::commands::Command;

/// Builds and serves Singularity images: a self-hosted hub, its workers, and the engine alone.
#[derive(Debug, Parser)]
#[command(name = "cooperage", version, propagate_version = true)]
#[command(after_help = "\
Exit codes:
  0  done
  1  the thing asked for failed: a build failed, or something was not found
  2  the command line is wrong
  3  the hub cannot be reached, or does not accept the token

Examples:
  cooperage up --data /var/lib/cooperage --listen 0.0.0.0:8080
  cooperage build lolcow.sif Singularity")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    cooperage_image::sandbox::enter_if_asked();
    let cli = match Cli::from_arg_matches(&command_line().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    start_logging();
    // It fails only when one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());

    match cli.command.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cooperage: {error:#}");
            exit::code_of(&error)
        }
    }
}

/// The command line as it is shown and completed.
fn command_line() -> clap::Command {
    help::grouped(Cli::command())
}

fn start_logging() {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
            for below in command
                .get_subcommands()
                .filter(|below| !below.is_hide_set())
            {
                check(below);
            }
        }

        command_line().debug_assert();

        check(&command_line());
    }
}
