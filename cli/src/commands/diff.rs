//! `diff`: what differs between two images.

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cooperage_image::diff::Ignored;
use cooperage_image::runtime::Remote;
use cooperage_image::{Cancel, Error, Event};

use super::build;
use crate::config::RegistryArgs;
use crate::output::{FormatArgs, unless_closed};
use crate::progress::{Display, ProgressArgs, Voice};
use crate::{container, exit};

mod report;

use self::report::Report;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Images are SIF files, squashfs and ext3 images, folders, and addresses (docker://ubuntu:22.04).
Nothing is unpacked. A line begins with + for what only B has, - for what only A has, and ~ for what
both have with other values; of texts the lines are shown below.

As JSON it is one document: `differences` is a list of objects with `of` (image, object, file,
label, definition, environment, text), `name`, `change` (added, removed, changed) and `facts`, each
with its values in `a` and `b`. Bytes of names that are no text are written \\xff, a backslash \\\\.

Exit codes, as those of diff:
  0  the images are the same
  1  they differ
  2  they cannot be compared

Example:
  cooperage diff yesterday.sif today.sif
  cooperage diff --ignore time,image,object lolcow.sif box/
  cooperage diff --format json docker://debian:12 docker://debian:12-slim")]
pub(crate) struct Args {
    /// The first image.
    a: PathBuf,
    /// The second.
    b: PathBuf,
    /// Leave these out: mode, owner, time, xattr, contents, or everything of image, object, file,
    /// label, definition, environment, text.
    #[arg(long, value_name = "NAMES", default_value = "")]
    ignore: Ignored,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match compare(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(exit::FAILED),
        Err(error) => {
            match error.downcast_ref() {
                Some(known) => build::tell(known, ""),
                None => eprintln!("cooperage: {error:#}"),
            }
            ExitCode::from(exit::WRONG_CALL)
        }
    }
}

/// Tells whether they are the same.
fn compare(args: &Args) -> anyhow::Result<bool> {
    let cancel = Cancel::default();
    super::cancel_on_signals(&cancel)?;
    let display = args.progress.display(Voice::Engine);
    let a = fetched(args, &args.a, &display, &cancel);
    let b = a.and_then(|a| Ok((a, fetched(args, &args.b, &display, &cancel)?)));
    display.finish();
    let (a, b) = b?;
    let out = BufWriter::new(io::stdout().lock());
    let mut report = Report::begin(out, args.format.format, [&args.a, &args.b])?;
    let engine = build::engine(&args.registries);
    let mut tell = |difference| {
        report
            .add(&difference)
            .map_err(Error::io("writing", "standard output"))
    };
    match engine.diff([&a, &b], &args.ignore, &cancel, &mut tell) {
        Err(error) if is_closed(&error) => Ok(false),
        Err(error) => Err(error.into()),
        Ok(()) => {
            let same = report.is_empty();
            unless_closed(report.finish())?;
            Ok(same)
        }
    }
}

/// Where an image is; one that an address names is fetched, and kept for the next time.
fn fetched(
    args: &Args,
    image: &Path,
    display: &Display,
    cancel: &Cancel,
) -> anyhow::Result<PathBuf> {
    if !image.to_str().is_some_and(Remote::is_named_by) {
        return Ok(image.to_owned());
    }
    let events = |event: Event<'_>| display.show(&event);
    let settings = super::settings(&args.registries);
    Ok(container::remote(image)?.image(&settings, &events, cancel)?)
}

/// Whether the reader of the report has seen enough.
fn is_closed(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}
