//! Which account is used for a registry, and where it came from.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;

use super::Credentials;
use super::reference::is_same_registry;

/// All accounts that may be used. The first source that has one wins, also if it is wrong.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// From the command line or the environment.
    pub given: Credentials,
    /// From the definition's header.
    pub header: Option<HeaderAccount>,
    /// Files in the form of Docker's `config.json`; what is missing is passed over.
    pub files: Vec<PathBuf>,
}

/// `Username` and `Password` of a definition.
#[derive(Debug, Clone)]
pub struct HeaderAccount {
    /// The value of `Username`.
    pub username: String,
    /// The value of `Password`.
    pub password: SecretString,
}

/// An account with the place it came from, for messages.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) username: String,
    pub(super) password: SecretString,
    pub(super) source: String,
}

impl Accounts {
    /// The account for a registry; `None` is anonymous.
    pub(super) fn for_registry(&self, registry: &str) -> Option<Account> {
        if let Some((username, password)) = &self.given.account {
            let source = "the command line or environment".to_owned();
            return Some(Account {
                username: username.clone(),
                password: password.clone(),
                source,
            });
        }
        if let Some(HeaderAccount { username, password }) = &self.header {
            let source = "the definition's header".to_owned();
            return Some(Account {
                username: username.clone(),
                password: password.clone(),
                source,
            });
        }
        self.files
            .iter()
            .find_map(|file| account_in_file(file, registry))
    }
}

#[derive(Deserialize)]
struct AuthFile {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, AuthEntry>,
}

#[derive(Deserialize)]
struct AuthEntry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<SecretString>,
}

fn account_in_file(path: &Path, registry: &str) -> Option<Account> {
    let json = fs::read(path).ok()?;
    let file: AuthFile = match serde_json::from_slice(&json) {
        Ok(file) => file,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "file of accounts is not valid");
            return None;
        }
    };
    let (_, entry) = file
        .auths
        .iter()
        .find(|(key, _)| is_same_registry(host_of(key), registry))?;
    let source = path.display().to_string();
    if let (Some(username), Some(password)) = (&entry.username, &entry.password) {
        return Some(Account {
            username: username.clone(),
            password: password.clone(),
            source,
        });
    }
    let decoded = STANDARD.decode(entry.auth.as_ref()?.trim()).ok()?;
    let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let (username, password) = (username.to_owned(), SecretString::from(password));
    Some(Account {
        username,
        password,
        source,
    })
}

/// Keys are hosts or, for the Hub, a URL with a path.
fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn the_first_source_wins() {
        let mut accounts = Accounts {
            given: Credentials {
                account: Some(("cli".to_owned(), "x".into())),
            },
            header: Some(HeaderAccount {
                username: "header".to_owned(),
                password: "y".into(),
            }),
            files: Vec::new(),
        };

        assert_eq!(accounts.for_registry("a.io").unwrap().username, "cli");
        accounts.given.account = None;
        assert_eq!(accounts.for_registry("a.io").unwrap().username, "header");
        accounts.header = None;
        assert!(accounts.for_registry("a.io").is_none());
    }

    #[test]
    fn a_file_gives_an_account_only_to_its_registry() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let json = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dGVzdGVyOnMzOmNyZXQ="}}}"#;
        fs::write(&path, json).unwrap();
        let accounts = Accounts {
            files: vec![folder.path().join("none"), path],
            ..Accounts::default()
        };

        let hub = accounts.for_registry("index.docker.io").unwrap();

        assert_eq!(
            (hub.username.as_str(), hub.password.expose_secret()),
            ("tester", "s3:cret")
        );
        assert!(accounts.for_registry("ghcr.io").is_none());
    }
}
