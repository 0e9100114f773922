//! `collection credential`: accounts of a collection for the registries of its bases.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use cooperage_protocol::admin::{Credential, NewCheck, NewCredential};
use cooperage_protocol::check::{Progress, Step, Verdict};
use cooperage_protocol::{CollectionName, Password, RegistryCheck};

use crate::config::DataFolder;
use crate::exit;
use crate::hub::{Hub, HubError};
use crate::output::{self, FormatArgs};

/// More than any password has; what is longer is another file by mistake.
const LONGEST: u64 = 64 * 1024;

/// How long to wait before a check is looked at again.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cooperage collection credential list lab/tool")]
pub(crate) enum Command {
    /// Set the account for a registry; the password is read from standard input.
    Add(Add),
    /// List the accounts, without their passwords.
    List(List),
    /// Have a worker check whether a build of the collection gets an image, and what is wrong.
    Check(Check),
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
#[command(after_help = "\
A worker asks the registry with the accounts of the collection, as a build does; `cooperage registry
check` asks from this machine, with the accounts of its user.

Example:
  cooperage collection credential check lab/tool docker://ghcr.io/lab/base:1.0")]
pub(crate) struct Check {
    /// The collection.
    #[arg(value_name = "OWNER/REPO")]
    name: CollectionName,
    /// The image: docker://…, oras://…, or a reference alone.
    uri: String,
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
        Command::Check(args) => return check(args),
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

fn check(args: Check) -> anyhow::Result<ExitCode> {
    let hub = Hub::of(&args.data.path)?;
    let asked = hub.ask_check(&args.name, &NewCheck { uri: args.uri })?;
    let answered = wait(&hub, &args.name, asked)?;
    args.format.print(&answered, human)?;
    Ok(exit::code_for(answered.progress.is_good()))
}

/// The hub ends a check that no worker answers, so this ends, too.
fn wait(
    hub: &Hub,
    name: &CollectionName,
    mut check: RegistryCheck,
) -> Result<RegistryCheck, HubError> {
    while !check.progress.is_final() {
        std::thread::sleep(PAUSE);
        check = hub.check(name, check.id)?;
    }
    Ok(check)
}

fn human(check: &RegistryCheck) -> String {
    match &check.progress {
        Progress::Answered { steps } => steps.iter().map(line).collect(),
        Progress::Unanswered { reason } => format!("{reason}\n"),
        Progress::Queued | Progress::Running => String::new(),
    }
}

fn line(step: &Step) -> String {
    let verdict = match step.verdict {
        Verdict::Bad => "WRONG",
        verdict => verdict.as_str(),
    };
    output::step(
        step.subject.as_str(),
        verdict,
        &step.message,
        step.help.as_deref(),
    )
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
