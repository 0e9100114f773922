//! `apps`: the apps in an image.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::{build, inspect};
use crate::{exit, output};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cooperage apps tools.sif
  cooperage run --app NAME tools.sif")]
pub(crate) struct Args {
    /// The image.
    image: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match inspect::inspect(&args.image) {
        Ok(attributes) => {
            let mut names: Vec<_> = attributes.apps.into_keys().collect();
            names.push(String::new());
            let names = names.join("\n");
            output::unless_closed(io::stdout().lock().write_all(names.as_bytes()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            build::tell(&error, "");
            Ok(exit::code_for(false))
        }
    }
}
