//! `serve`: the hub alone.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use cooperage_server::Config;

use crate::up::signals;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage serve --config /etc/cooperage.toml")]
pub(crate) struct Args {
    /// The settings file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = args.config.display();
    let text = std::fs::read_to_string(&args.config).with_context(|| format!("reading {name}"))?;
    let config: Config = toml::from_str(&text).with_context(|| format!("settings in {name}"))?;
    let listeners = config
        .listen
        .iter()
        .map(|address| {
            TcpListener::bind(address).with_context(|| format!("listening on {address}"))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("making {}", config.data.display()))?;

    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let stop = signals::stop()?;
        cooperage_server::serve(config, listeners, stop).await
    })?;
    Ok(ExitCode::SUCCESS)
}
