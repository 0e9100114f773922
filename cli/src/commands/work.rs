//! `work`: a worker.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use cooperage_worker::Settings;
use url::Url;

use crate::config::{self, RegistryArgs};
use crate::up::signals;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Keys for Fingerprints are asked for at the hub and at https://keys.openpgp.org, or else at
COOPERAGE_KEYSERVER: addresses, separated by commas, or none.

Example:
  cooperage work --hub https://hub.example.org --token-file worker.token")]
pub(crate) struct Args {
    /// Address of the hub.
    #[arg(long, value_name = "URL")]
    hub: Url,
    /// File with the token that `cooperage worker add` printed.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Folder of downloaded layers and other things worth keeping.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Folder of temporary trees; each worker needs its own.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Name of the worker in its own log.
    #[arg(long, default_value = "worker")]
    name: String,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let token = std::fs::read_to_string(&args.token_file)
        .with_context(|| format!("reading {}", args.token_file.display()))?;
    let scratch = args.scratch.unwrap_or_else(config::scratch_folder);
    let settings = Settings {
        hub: args.hub.clone(),
        token: token.trim().to_owned().into(),
        name: args.name,
        engine: cooperage_image::Settings {
            cache: args.cache.unwrap_or_else(config::cache_folder),
            scratch,
            registries: args.registries.registries(),
            sources: config::sources_of_worker(&args.hub),
            identity: cooperage_image::sandbox::Identity::default(),
            network: cooperage_image::sandbox::Network::default(),
            environment: config::environment(),
            roots: cooperage_image::Roots::default(),
        },
    };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let stop = signals::stop()?;
        anyhow::Ok(cooperage_worker::run(settings, stop).await?)
    })?;
    // An engine that does not stop must not hold up the end of the program.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}
