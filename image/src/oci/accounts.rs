//! Which account is used for a registry, and where it came from.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;

use super::Credentials;
use super::helper::{self, HelperError};
use super::reference::{DOCKER_HUB, Reference, is_same_registry};

/// What the Hub is called in files of accounts.
const HUB_KEY: &str = "https://index.docker.io/v1/";

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
    pub(super) secret: Secret,
    pub(super) source: String,
}

/// What proves that an account is one's own.
#[derive(Debug, Clone)]
pub(super) enum Secret {
    Password(SecretString),
    /// Stands for a login that was made before.
    IdentityToken(SecretString),
}

/// The account for an image, and what was wrong with the places where one was looked for.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// `None` is anonymous.
    pub(super) account: Option<Account>,
    pub(super) problems: Vec<String>,
}

impl Accounts {
    /// Looks for the account for an image's registry.
    pub(super) fn find(&self, reference: &Reference) -> Found {
        let mut problems = Vec::new();
        let account = self.given_account().or_else(|| {
            let mut files = self.files.iter();
            files.find_map(|file| in_file(file, reference, &mut problems))
        });
        Found { account, problems }
    }

    fn given_account(&self) -> Option<Account> {
        if let Some((username, password)) = &self.given.account {
            let source = self.given.source.as_deref();
            return Some(Account {
                username: username.clone(),
                secret: Secret::Password(password.clone()),
                source: source
                    .unwrap_or("the command line or environment")
                    .to_owned(),
            });
        }
        let HeaderAccount { username, password } = self.header.as_ref()?;
        Some(Account {
            username: username.clone(),
            secret: Secret::Password(password.clone()),
            source: "the definition's header".to_owned(),
        })
    }
}

#[derive(Deserialize)]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, AuthEntry>,
    /// Programs to ask, by registry.
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    /// The program to ask for all other registries.
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize)]
struct AuthEntry {
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
    identitytoken: Option<SecretString>,
}

fn in_file(path: &Path, reference: &Reference, problems: &mut Vec<String>) -> Option<Account> {
    let file = match read(path) {
        Ok(file) => file?,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let by_program = file.program(reference).and_then(|program| {
        let key = if reference.registry() == DOCKER_HUB {
            HUB_KEY
        } else {
            reference.registry()
        };
        match helper::get(program, key) {
            Ok(account) => Some(account),
            Err(HelperError::NotFound) => None,
            Err(error) => {
                problems.push(format!("{error}, which {} names", path.display()));
                None
            }
        }
    });
    by_program.or_else(|| file.entry(reference)?.account(path))
}

fn read(path: &Path) -> Result<Option<AuthFile>, String> {
    let json = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?,
    };
    // What serde says of a wrong value can show it.
    let place = |error: serde_json::Error| format!("line {}", error.line());
    serde_json::from_slice(&json).map(Some).map_err(|error| {
        let (path, place) = (path.display(), place(error));
        format!("{path} is no valid file of accounts: look at {place}")
    })
}

impl AuthFile {
    fn program(&self, reference: &Reference) -> Option<&str> {
        let of_registry = self.helpers.iter();
        let mut of_registry = of_registry.filter(|(key, _)| reach(key, reference).is_some());
        let of_registry = of_registry.next().map(|(_, program)| program);
        let program = of_registry.or(self.store.as_ref()).map(String::as_str);
        program.filter(|program| !program.is_empty())
    }

    /// The entry that names most of the image.
    fn entry(&self, reference: &Reference) -> Option<&AuthEntry> {
        let entries = self.auths.iter();
        let fitting = entries.filter_map(|(key, entry)| Some((reach(key, reference)?, entry)));
        let best = fitting.max_by_key(|(reach, _)| *reach);
        best.map(|(_, entry)| entry)
    }
}

impl AuthEntry {
    fn account(&self, path: &Path) -> Option<Account> {
        let source = path.display().to_string();
        let (username, secret) = self.pair()?;
        Some(Account {
            username,
            secret,
            source,
        })
    }

    fn pair(&self) -> Option<(String, Secret)> {
        if let Some(token) = &self.identitytoken {
            let username = self.username.clone().unwrap_or_default();
            return Some((username, Secret::IdentityToken(token.clone())));
        }
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            return Some((username.clone(), Secret::Password(password.clone())));
        }
        let auth = secrecy::ExposeSecret::expose_secret(self.auth.as_ref()?);
        let decoded = STANDARD.decode(auth.trim()).ok()?;
        let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        let password = SecretString::from(password.trim_end_matches('\0'));
        Some((username.to_owned(), Secret::Password(password)))
    }
}

/// How many bytes of an image's repository a key names: none if it is for the whole registry,
/// `None` if it is for other images. Keys are hosts, hosts with the beginning of a repository, or
/// URLs of an API.
fn reach(key: &str, reference: &Reference) -> Option<usize> {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    if !is_same_registry(host, reference.registry()) {
        return None;
    }
    if matches!(path, "" | "v1" | "v2") {
        return Some(0);
    }
    let after = reference.repository().strip_prefix(path)?;
    (after.is_empty() || after.starts_with('/')).then_some(path.len())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn find(accounts: &Accounts, image: &str) -> Option<(String, String)> {
        let account = accounts.find(&image.parse().unwrap()).account?;
        let (Secret::Password(secret) | Secret::IdentityToken(secret)) = account.secret;
        Some((account.username, secret.expose_secret().to_owned()))
    }

    fn in_json(json: &str, image: &str) -> Option<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, json).unwrap();
        let files = vec![folder.path().join("none"), path];
        let accounts = Accounts {
            files,
            ..Accounts::default()
        };
        find(&accounts, image)
    }

    #[test]
    fn the_first_source_wins() {
        let mut accounts = Accounts {
            given: Credentials {
                account: Some(("cli".to_owned(), "x".into())),
                source: None,
            },
            header: Some(HeaderAccount {
                username: "header".to_owned(),
                password: "y".into(),
            }),
            files: Vec::new(),
        };

        assert_eq!(find(&accounts, "a.io/b").unwrap().0, "cli");
        accounts.given.account = None;
        assert_eq!(find(&accounts, "a.io/b").unwrap().0, "header");
        accounts.header = None;
        assert!(find(&accounts, "a.io/b").is_none());
    }

    #[test]
    fn a_file_gives_an_account_only_to_its_registry() {
        let json = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dGVzdGVyOnMzOmNyZXQ="}}}"#;

        let hub = in_json(json, "docker.io/library/busybox").unwrap();

        assert_eq!(hub, ("tester".to_owned(), "s3:cret".to_owned()));
        assert!(in_json(json, "ghcr.io/a/b").is_none());
    }

    #[test]
    fn the_entry_that_names_more_of_the_image_wins() {
        let json = r#"{"auths":{"q.io":{"username":"all","password":"1"},
            "q.io/team":{"username":"team","password":"2"}}}"#;

        assert_eq!(in_json(json, "q.io/team/x").unwrap().0, "team");
        assert_eq!(in_json(json, "q.io/teamwork/x").unwrap().0, "all");
    }

    #[test]
    fn a_broken_file_is_told_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(
            &path,
            r#"{"auths": {"a.io": {"auth": 77, "password": "hunter2"}}}"#,
        )
        .unwrap();
        let accounts = Accounts {
            files: vec![path],
            ..Accounts::default()
        };

        let found = accounts.find(&"a.io/b".parse().unwrap());

        assert!(found.account.is_none());
        assert!(found.problems[0].contains("line 1"), "{:?}", found.problems);
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
