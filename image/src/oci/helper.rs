//! Accounts that a program keeps: `docker-credential-NAME get`.
//!
//! See <https://github.com/docker/docker-credential-helpers#development>.
//!
//! # Security
//! The registry goes in over the standard input and the secret comes out over the standard output:
//! neither is in an argument, where every user of the machine could read it.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde::Deserialize;

use super::accounts::{Account, Secret};

/// A helper may ask its user for a password.
const LONGEST: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(2);
const MOST_OUTPUT: u64 = 1 << 20;

/// What a helper says, with exit status 1, of a registry that it does not know.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// Why a helper gave no account.
#[derive(Debug, thiserror::Error)]
pub(super) enum HelperError {
    #[error("it has no account")]
    NotFound,
    #[error("`{0}` is no name of a credential helper")]
    Name(String),
    #[error("{0} cannot be started: {1}")]
    Start(String, io::Error),
    #[error("{0} did not answer within {seconds} seconds", seconds = LONGEST.as_secs())]
    Time(String),
    #[error("{0} gave no account")]
    Answer(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: SecretString,
}

/// Asks a helper for the account of a registry.
pub(super) fn get(name: &str, registry: &str) -> Result<Account, HelperError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !name.bytes().all(is_allowed) {
        return Err(HelperError::Name(name.to_owned()));
    }
    let program = format!("docker-credential-{name}");
    let (success, output) = run(&program, registry)?;
    if !success {
        return Err(if output.starts_with(NOT_FOUND.as_bytes()) {
            HelperError::NotFound
        } else {
            HelperError::Answer(program)
        });
    }
    let Ok(Answer { username, secret }) = serde_json::from_slice(&output) else {
        return Err(HelperError::Answer(program));
    };
    let secret = match username.as_str() {
        "<token>" => Secret::IdentityToken(secret),
        _ => Secret::Password(secret),
    };
    Ok(Account {
        username,
        secret,
        source: program,
    })
}

/// Whether the program succeeded, and what it printed.
fn run(program: &str, registry: &str) -> Result<(bool, Vec<u8>), HelperError> {
    let start = |error| HelperError::Start(program.to_owned(), error);
    let mut command = Command::new(program);
    command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut helper = command.spawn().map_err(start)?;
    if let Some(mut input) = helper.stdin.take() {
        // A helper that needs no question closes its end.
        drop(input.write_all(registry.as_bytes()));
    }
    let (printed, output) = mpsc::channel();
    if let Some(stdout) = helper.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(MOST_OUTPUT).read_to_end(&mut bytes);
            // Nobody waits for it any more when it comes too late.
            drop(printed.send(read.map(|_| bytes)));
        });
    }
    let late = || HelperError::Time(program.to_owned());
    let success = end_of(&mut helper).map_err(start)?.ok_or_else(late)?;
    // What the helper left running may hold its output open.
    let output = output.recv_timeout(GRACE).map_err(|_| late())?;
    Ok((success, output.map_err(start)?))
}

/// Waits for the end of a program, and kills it when it takes too long.
fn end_of(helper: &mut Child) -> io::Result<Option<bool>> {
    let until = Instant::now() + LONGEST;
    while Instant::now() < until {
        if let Some(status) = helper.try_wait()? {
            return Ok(Some(status.success()));
        }
        thread::sleep(Duration::from_millis(20));
    }
    helper.kill()?;
    helper.wait()?;
    Ok(None)
}
