//! `login` and `logout`: a token for a hub, kept in a file of this user.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use nix::sys::termios::{self, LocalFlags, SetArg};
use secrecy::SecretString;
use url::Url;

use crate::hub::Hub;
use crate::login::{self, Login};

/// More than any token has.
const LONGEST: u64 = 4096;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The token is made at the hub's page /auth/tokens, and read from the terminal or from standard input.
Commands about a hub use it where there is no hub on this machine; `cooperage pull` uses it for
library:// and oras:// at that hub.

Example:
  cooperage login https://hub.example.org < token")]
pub(crate) struct LoginArgs {
    /// The hub's address, as in a browser; https:// when it says no scheme.
    #[arg(value_name = "HUB", value_parser = parse_hub)]
    hub: Url,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage logout https://hub.example.org")]
pub(crate) struct LogoutArgs {
    /// The hub's address; that of the last login when it is left out.
    #[arg(value_name = "HUB", value_parser = parse_hub)]
    hub: Option<Url>,
}

fn parse_hub(text: &str) -> Result<Url, String> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url: Url = with_scheme
        .parse()
        .map_err(|error| format!("{error}: write https://hub.example.org"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() {
        return Err("is no address of a hub: write https://hub.example.org".to_owned());
    }
    Ok(url)
}

pub(crate) fn log_in(args: &LoginArgs) -> anyhow::Result<ExitCode> {
    let token = ask_token(&args.hub)?;
    let account = Hub::new(args.hub.clone(), token.clone())?.account()?;
    let kept = login::keep(&Login {
        hub: args.hub.clone(),
        token,
    })?;
    println!(
        "logged in at {} as {}; the token is kept in {}",
        args.hub,
        account.name,
        kept.display()
    );
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn log_out(args: &LogoutArgs) -> anyhow::Result<ExitCode> {
    let host = login::forget(args.hub.as_ref())?;
    println!("logged out from {host}; the token stays good until it is revoked at /auth/tokens");
    Ok(ExitCode::SUCCESS)
}

fn ask_token(hub: &Url) -> anyhow::Result<SecretString> {
    let stdin = std::io::stdin();
    let mut line = String::new();
    if stdin.is_terminal() {
        let base = hub.as_str().trim_end_matches('/');
        eprint!("token, which is made at {base}/auth/tokens: ");
        std::io::stderr().flush()?;
        unseen(|| stdin.lock().take(LONGEST).read_line(&mut line))?.context("reading the token")?;
        eprintln!();
    } else {
        stdin.lock().take(LONGEST).read_line(&mut line)?;
    }
    let token = line.trim();
    anyhow::ensure!(!token.is_empty(), "standard input holds no token");
    Ok(token.to_owned().into())
}

/// Does something while the terminal does not show what is typed.
fn unseen<T>(what: impl FnOnce() -> T) -> anyhow::Result<T> {
    let stdin = std::io::stdin();
    let before = termios::tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    termios::tcsetattr(&stdin, SetArg::TCSAFLUSH, &silent)?;
    let done = what();
    termios::tcsetattr(&stdin, SetArg::TCSAFLUSH, &before)?;
    Ok(done)
}
