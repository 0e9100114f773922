//! `pull`: an image from a registry, a hub or the web into a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use cooperage_image::{Cancel, Error, Event, Output};
use url::Url;

use super::build;
use crate::config::RegistryArgs;
use crate::exit;
use crate::progress::{ProgressArgs, Voice};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A Docker image is built into a SIF; all others are fetched as they are. A download that breaks off
goes on where it was.

Example:
  cooperage pull docker://ubuntu:22.04
  cooperage pull --name lolcow.sif https://hub.example.org/owner/lolcow/latest.sif")]
pub(crate) struct Args {
    /// The image's file, and the URI; the file has a name of its own when it is left out.
    #[arg(value_names = ["FILE", "URI"], num_args = 1..=2, required = true)]
    words: Vec<String>,
    /// Name of the image's file.
    #[arg(long)]
    name: Option<PathBuf>,
    /// Folder that the image is put into.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Overwrite an image that exists.
    #[arg(long, short = 'F')]
    force: bool,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (file, source) = match args.words.as_slice() {
        [file, source] => (Some(PathBuf::from(file)), source),
        [source] => (args.name.clone(), source),
        _ => bail!("an image is pulled from one URI"),
    };
    let name = file.map_or_else(|| default_name(source), Ok)?;
    let place = args.dir.clone().unwrap_or_default().join(name);
    if place.symlink_metadata().is_ok() && !args.force {
        build::tell(&Error::Exists(place), "");
        return Ok(exit::code_for(false));
    }
    pull(args, source, &place)
}

fn pull(args: &Args, source: &str, place: &Path) -> anyhow::Result<ExitCode> {
    let cancel = Cancel::default();
    build::cancel_on_signals(&cancel)?;
    let display = args.progress.display(Voice::Engine);
    let events = |event: Event<'_>| display.show(&event);
    let engine = build::engine(&args.registries);
    let pulled = if source.starts_with("http://") || source.starts_with("https://") {
        let url: Url = source
            .parse()
            .with_context(|| format!("{source} is no URL"))?;
        let pulled = engine.pull_from_web(&url, place, &events, &cancel);
        pulled.inspect_err(|error| {
            display.finish();
            build::tell(error, "");
        })
    } else {
        let mut request = build::request_for(
            source,
            build::definition_of(source)?,
            Output::Sif(place.to_owned()),
        )?;
        request.overwrite = args.force;
        let pulled = engine.pull(&request, &events, &cancel);
        pulled.inspect_err(|error| {
            display.finish();
            build::explain(error, &request);
        })
    };
    display.finish();
    if pulled.is_ok() {
        println!("{}", place.display());
    }
    Ok(exit::code_for(pulled.is_ok()))
}

/// The name that Apptainer gives: the image's own and its tag, or what stands last in a URL.
fn default_name(source: &str) -> anyhow::Result<PathBuf> {
    let nameless = || format!("{source} says no name for the file: give one with --name");
    let (scheme, rest) = source.split_once(':').with_context(nameless)?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let last = rest.rsplit('/').next().unwrap_or_default();
    if last.is_empty() {
        bail!(nameless());
    }
    if matches!(scheme, "http" | "https") {
        return Ok(last.into());
    }
    let (name, tag) = match (last.split_once('@'), last.split_once(':')) {
        (Some((name, _)), _) => (name.split(':').next().unwrap_or(name), digest_of(rest)),
        (None, Some((name, tag))) => (name, tag),
        (None, None) => (last, "latest"),
    };
    Ok(format!("{name}_{tag}.sif").into())
}

/// What follows the `@`; its colon would make the name of a file look like that of a host.
fn digest_of(reference: &str) -> &str {
    let digest = reference.rsplit('@').next().unwrap_or_default();
    digest.rsplit(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_names_that_apptainer_gives_them() {
        let cases = [
            ("docker://ubuntu", "ubuntu_latest.sif"),
            ("docker://ubuntu:22.04", "ubuntu_22.04.sif"),
            ("docker://localhost:5000/a/b:v1", "b_v1.sif"),
            ("docker://a/b@sha256:abc", "b_abc.sif"),
            ("library://owner/collection/tool", "tool_latest.sif"),
            ("shub://owner/tool:v2", "tool_v2.sif"),
            ("https://hub.example.org/o/c/v1.sif?x=1", "v1.sif"),
        ];
        for (source, name) in cases {
            assert_eq!(default_name(source).unwrap(), Path::new(name), "{source}");
        }
        for source in ["ubuntu", "docker://", "https://host/"] {
            assert!(default_name(source).is_err(), "{source}");
        }
    }
}
