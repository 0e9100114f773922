//! What has to be done once before an image can be run: fetching it, and unpacking it.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cooperage_image::runtime::{self, Image, Remote};
use cooperage_image::{Cancel, Event};

use crate::commands::{cancel_on_signals, settings};
use crate::config::{self, AccountArgs, RegistryArgs};
use crate::progress::{ProgressArgs, Voice};

#[derive(Debug, clap::Args)]
pub(crate) struct PrepareArgs {
    /// An image to unpack, or a URI to make an image of.
    image: PathBuf,
    /// Unpack.
    #[arg(long)]
    unpack: bool,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

/// Prints where the tree or the image is.
pub(crate) fn prepare(args: &PrepareArgs) -> anyhow::Result<ExitCode> {
    let settings = settings(&args.registries);
    let cancel = Cancel::default();
    cancel_on_signals(&cancel)?;
    let display = args.progress.display(Voice::Engine);
    let events = |event: Event<'_>| display.show(&event);
    let path = if args.unpack {
        runtime::unpack(&Image::open(&args.image)?, &settings, &events, &cancel)
    } else {
        remote(&args.image)?.image(&settings, &events, &cancel)
    };
    display.finish();
    let mut out = std::io::stdout();
    out.write_all(path?.as_os_str().as_bytes())?;
    out.write_all(b"\n")?;
    Ok(ExitCode::SUCCESS)
}

/// The image of a URI, with the accounts of this user.
pub(crate) fn remote(image: &Path) -> anyhow::Result<Remote> {
    let accounts = AccountArgs::default();
    Ok(Remote {
        uri: image.to_string_lossy().into_owned(),
        folder: PathBuf::from("."),
        credentials: accounts.credentials()?,
        account_files: accounts.files()?,
        docker_engine: Some(config::docker_engine()),
    })
}
