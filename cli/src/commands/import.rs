//! `import`: a Docker image, another base or an archive into an image or a folder.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use cooperage_image::classic::Source;
use cooperage_image::{Cancel, Output};

use super::build;
use crate::config::RegistryArgs;
use crate::exit;
use crate::progress::{ProgressArgs, Voice};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is in the image stays; files of the same names are replaced. The ENTRYPOINT of a Docker image
becomes the runscript, or its CMD where it has no ENTRYPOINT.

Example:
  cooperage create ubuntu.img
  cooperage import ubuntu.img docker://ubuntu:latest
  mkdir folder && cooperage import folder docker://ubuntu && du -sh folder
  docker export CONTAINER | cooperage import ubuntu.img")]
pub(crate) struct Args {
    /// An image that `create` made, or a folder.
    image: PathBuf,
    /// A URI (docker://, library://, shub://, oras://, docker-archive:FILE), or a tar archive,
    /// compressed or not; - is an archive on standard input.
    #[arg(default_value = "-")]
    source: String,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

/// Ends of the names of archives.
const ARCHIVES: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.zst"];

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = args.source.strip_prefix("file://");
    let path = path.unwrap_or(&args.source);
    if args.source == "-" {
        let archive = &mut io::stdin();
        let name = "standard input".to_owned();
        return import(args, Vec::new(), Source::Archive { name, archive });
    }
    if ARCHIVES.iter().any(|end| path.ends_with(end)) && !path.contains(':') {
        let archive = &mut File::open(path).with_context(|| format!("opening {path}"))?;
        let name = path.to_owned();
        return import(args, Vec::new(), Source::Archive { name, archive });
    }
    import(args, build::definition_of(&args.source)?, Source::Base)
}

fn import(args: &Args, definition: Vec<u8>, source: Source<'_>) -> anyhow::Result<ExitCode> {
    let request = build::request_for(
        &args.source,
        definition,
        Output::Writable(args.image.clone()),
    )?;
    let cancel = Cancel::default();
    build::cancel_on_signals(&cancel)?;
    let display = args.progress.display(Voice::Classic);
    let engine = build::engine(&args.registries);
    let imported = engine.import(&request, source, &|event| display.show(&event), &cancel);
    display.finish();
    if let Err(error) = &imported {
        build::explain(error, &request);
    }
    Ok(exit::code_for(imported.is_ok()))
}
