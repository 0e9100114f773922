//! `key`: the key that the hub signs images with, and those it hands out.

use std::process::ExitCode;

use clap::Subcommand;
use cooperage_protocol::admin::{Key, KeyUse};

use crate::config::DataFolder;
use crate::hub::Hub;
use crate::output::{self, FormatArgs};

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cooperage key list")]
pub(crate) enum Command {
    /// List the hub's own keys and those that people added.
    List(List),
    /// Make another key, and sign with it from now on; the old one stays in the keystore.
    Rotate(Rotate),
    /// Remove a key that somebody added.
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage key list --format json")]
pub(crate) struct List {
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage key rotate")]
pub(crate) struct Rotate {
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage key remove 0123456789ABCDEF0123456789ABCDEF01234567")]
pub(crate) struct Remove {
    /// Its fingerprint.
    fingerprint: String,
    #[command(flatten)]
    data: DataFolder,
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => {
            let keys = Hub::of(&args.data.path)?.keys()?;
            args.format.print(&keys, |keys| table(keys))?;
        }
        Command::Rotate(args) => {
            let key = Hub::of(&args.data.path)?.rotate_key()?;
            args.format
                .print(&key, |key| format!("{}\n", key.fingerprint))?;
        }
        Command::Remove(args) => Hub::of(&args.data.path)?.remove_key(&args.fingerprint)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(keys: &[Key]) -> String {
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            let usage = match key.usage {
                KeyUse::Signs => "signs what is built",
                KeyUse::Signed => "signed what was built",
                KeyUse::Added => "added",
            };
            let by = key.added_by.clone().unwrap_or_default();
            let fingerprint = key.fingerprint.clone();
            [fingerprint, usage.to_owned(), by, key.user_ids.join(", ")]
        })
        .collect();
    output::table(["FINGERPRINT", "USE", "ADDED BY", "SAYS IT IS OF"], &rows)
}
