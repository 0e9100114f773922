//! `registry check`: why an image can or cannot be had from its registry.

use std::process::ExitCode;

use clap::Subcommand;
use cooperage_image::Cancel;
use cooperage_image::oci::check::{Step, Subject, Verdict};
use cooperage_image::oci::{self, Accounts, Check, Checked, Platform};

use crate::config::{AccountArgs, RegistryArgs};
use crate::exit;
use crate::output::{self, FormatArgs};

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cooperage registry check docker://ghcr.io/lab/tool:1.0")]
pub(crate) enum Command {
    /// Say which host, realm, account and scope an image needs, what came back, and what is wrong.
    Check(CheckArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is downloaded but the image's manifest, and no password is shown.
The account is looked for as `cooperage build` does: --docker-username, then the variables
APPTAINER_DOCKER_USERNAME and _PASSWORD (or SINGULARITY_DOCKER_, or DOCKER_), then --authfile,
~/.apptainer/docker-config.json and ~/.docker/config.json with their credential helpers.

Examples:
  cooperage registry check docker://ghcr.io/lab/tool:1.0
  echo \"$PASSWORD\" | cooperage registry check registry.lab.org/tool \\
      --docker-username ada --docker-password-stdin
  cooperage registry check oras://ghcr.io/lab/image:1.0 --format json")]
pub(crate) struct CheckArgs {
    /// The image: docker://…, oras://…, or a reference alone.
    uri: String,
    /// The machine that the image is for, as amd64 or arm64; this one when not given.
    #[arg(long, value_name = "ARCH")]
    arch: Option<Platform>,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    accounts: AccountArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check(args) => check(&args),
    }
}

fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let accounts = Accounts {
        given: args.accounts.credentials()?,
        header: None,
        files: args.accounts.files()?,
    };
    let platform = args.arch.clone().unwrap_or_else(Platform::host);
    let wanted = Check {
        uri: &args.uri,
        platform: &platform,
        registries: &args.registries.registries(),
        accounts: &accounts,
    };
    let checked = oci::check(&wanted, &Cancel::default())?;
    args.format.print(&checked, human)?;
    Ok(exit::code_for(checked.is_good()))
}

fn human(checked: &Checked) -> String {
    checked.steps.iter().map(line).collect()
}

fn line(step: &Step) -> String {
    let subject = match step.subject {
        Subject::Reference => "reference",
        Subject::Account => "account",
        Subject::Host => "host",
        Subject::Challenge => "challenge",
        Subject::Login => "login",
        Subject::Image => "image",
    };
    let verdict = match step.verdict {
        Verdict::Good => "ok",
        Verdict::Note => "note",
        Verdict::Bad => "WRONG",
    };
    output::step(subject, verdict, &step.message, step.help.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_is_wrong_stands_out_and_says_what_would_be_right() {
        let json = r#"{"uri":"a","steps":[
            {"subject":"host","verdict":"good","message":"registry a answers"},
            {"subject":"login","verdict":"bad","message":"no","help":"yes"}]}"#;
        let checked: Checked = serde_json::from_str(json).unwrap();

        assert!(!checked.is_good());
        assert_eq!(
            human(&checked),
            "host       ok     registry a answers\n\
             login      WRONG  no\n                  yes\n"
        );
    }
}
