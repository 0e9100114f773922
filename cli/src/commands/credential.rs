//! `collection credential`: accounts of a collection for the registries of its bases.

use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use cooperage_protocol::admin::{Credential, NewCredential};
use cooperage_protocol::{CollectionName, Password};

use crate::config::DataFolder;
use crate::hub::Hub;
use crate::output::{self, FormatArgs};

/// More than any password has; what is longer is another file by mistake.
const LONGEST: u64 = 64 * 1024;

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cooperage collection credential list lab/tool")]
pub(crate) enum Command {
    /// Set the account for a registry; the password is read from standard input.
    Add(Add),
    /// List the accounts, without their passwords.
    List(List),
    /// Forget the account for a registry.
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cooperage collection credential add lab/tool ghcr.io robot < token"
)]
pub(crate) struct Add {
    /// The collection.
    #[arg(value_name = "OWNER/REPO")]
    name: CollectionName,
    /// The registry's host, with its port if it has one. The account goes to no other.
    #[arg(value_name = "HOST")]
    registry: String,
    /// The user name.
    username: String,
    #[command(flatten)]
    data: DataFolder,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage collection credential list lab/tool --format json")]
pub(crate) struct List {
    /// The collection.
    #[arg(value_name = "OWNER/REPO")]
    name: CollectionName,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage collection credential remove lab/tool ghcr.io")]
pub(crate) struct Remove {
    /// The collection.
    #[arg(value_name = "OWNER/REPO")]
    name: CollectionName,
    /// The registry's host, with its port if it has one.
    #[arg(value_name = "HOST")]
    registry: String,
    #[command(flatten)]
    data: DataFolder,
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add(args) => add(args)?,
        Command::List(args) => {
            let accounts = Hub::of(&args.data.path)?.credentials(&args.name)?;
            args.format.print(&accounts, |accounts| table(accounts))?;
        }
        Command::Remove(args) => {
            Hub::of(&args.data.path)?.remove_credential(&args.name, &args.registry)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn add(args: Add) -> anyhow::Result<()> {
    let hub = Hub::of(&args.data.path)?;
    let credential = NewCredential {
        registry: args.registry,
        username: args.username,
        password: read_password(std::io::stdin().lock())?,
    };
    hub.put_credential(&args.name, &credential)?;
    Ok(())
}

/// The first line: most programs that print a password end it with a newline.
fn read_password(input: impl Read) -> anyhow::Result<Password> {
    let mut text = String::new();
    input
        .take(LONGEST)
        .read_to_string(&mut text)
        .context("reading the password from standard input")?;
    let password = text.lines().next().unwrap_or_default();
    anyhow::ensure!(
        !password.is_empty(),
        "there is no password on standard input"
    );
    Ok(password.to_owned().into())
}

fn table(accounts: &[Credential]) -> String {
    let row = |account: &Credential| {
        [
            account.registry.clone(),
            account.username.clone(),
            output::time(Some(account.changed_at)),
        ]
    };
    let rows: Vec<_> = accounts.iter().map(row).collect();
    output::table(["REGISTRY", "USER", "SET"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_and_not_nothing() {
        for text in ["s3 cret", "s3 cret\n", "s3 cret\r\nmore"] {
            let password = read_password(text.as_bytes()).unwrap();
            assert_eq!(password.expose(), "s3 cret", "{text:?}");
        }
        assert!(read_password(&b""[..]).is_err());
        assert!(read_password(&b"\n"[..]).is_err());
    }
}
