//! How does somebody prove who they are? By a password, once; then by a session.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use cooperage_protocol::UserId;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::db::{sessions, tokens, users};
use crate::error::Error;

/// The cookie that holds a session's token.
pub const SESSION_COOKIE: &str = "cooperage_session";
/// How long a session lasts.
pub const SESSION_DAYS: i32 = 14;

const ADMIN: &str = "admin";
const FAILURES_PER_MINUTE: usize = 10;
const CHECKS_AT_ONCE: usize = 2;
const LONGEST_NAME: usize = 64;
const WRONG: Error = Error::Unauthorized("name or password is wrong");

/// Makes the account `admin` when it is missing, its password in `admin-password` and its token in
/// `admin-token` below `data`, readable by the hub's user alone. The token's file counts: whatever
/// it holds is let in, also after the database was made anew.
pub async fn ensure_admin(db: &PgPool, data: &Path) -> anyhow::Result<()> {
    let password_file = data.join("admin-password");
    let user = match users::find(db, ADMIN).await? {
        Some(account) if password_file.exists() => account.id,
        _ => {
            let password = read_or_make_secret(&password_file)?;
            users::put_admin(db, ADMIN, &hash_password(password).await?).await?
        }
    };
    let token = read_or_make_secret(&data.join("admin-token"))?;
    tokens::put_for_everything(db, user, &hash_token(&token), "admin-token").await?;
    Ok(())
}

/// The secret in a file, which is made, readable by the hub's user alone, when it is missing.
pub(crate) fn read_or_make_secret(path: &Path) -> anyhow::Result<String> {
    if path.exists() {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let secret = text.trim();
        anyhow::ensure!(!secret.is_empty(), "{} is empty; delete it", path.display());
        return Ok(secret.to_owned());
    }
    let secret = make_token();
    let folder = path.parent().context("secret has no folder")?;
    fs::create_dir_all(folder)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| path.display().to_string())?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    Ok(secret)
}

/// Makes a secret that nobody guesses: 256 random bits in hex.
pub fn make_token() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// A token as it is stored. It has enough entropy of its own to need neither salt nor slowness.
pub fn hash_token(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

async fn hash_password(password: String) -> anyhow::Result<String> {
    tokio::task::spawn_blocking(move || {
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|error| anyhow::anyhow!("hashing a password: {error}"))
    })
    .await?
}

/// Remembers failed logins, so that passwords cannot be tried by the thousand.
#[derive(Debug, Clone)]
pub struct LoginLimit {
    failures: Arc<Mutex<HashMap<String, Vec<Instant>>>>,
    /// Checking a password takes memory on purpose: many at once would take all there is.
    checks: Arc<Semaphore>,
}

impl Default for LoginLimit {
    fn default() -> Self {
        Self {
            failures: Arc::default(),
            checks: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
        }
    }
}

impl LoginLimit {
    fn is_reached(&self, name: &str) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, times| {
            times.retain(|time| time.elapsed() < Duration::from_mins(1));
            !times.is_empty()
        });
        failures
            .get(name)
            .is_some_and(|times| times.len() >= FAILURES_PER_MINUTE)
    }

    fn note_failure(&self, name: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures
            .entry(name.to_owned())
            .or_default()
            .push(Instant::now());
    }
}

/// Checks name and password; gives the token of a session that has begun.
pub async fn log_in(
    db: &PgPool,
    limit: &LoginLimit,
    name: &str,
    password: String,
) -> Result<String, Error> {
    let name = name.trim().to_lowercase();
    if name.len() > LONGEST_NAME {
        return Err(WRONG);
    }
    // Also those who come at the same time wait here, so that the limit counts for them.
    let _turn = limit.checks.acquire().await.map_err(anyhow::Error::from)?;
    if limit.is_reached(&name) {
        return Err(Error::Unauthorized(
            "too many wrong passwords; wait a minute",
        ));
    }
    let account = users::find(db, &name).await?;
    let user = account.as_ref().map(|account| account.id);
    let is_right = verify(account.and_then(|account| account.password_hash), password).await?;
    if let Some(user) = user.filter(|_| is_right) {
        return begin_session(db, user).await;
    }
    limit.note_failure(&name);
    Err(WRONG)
}

/// An unknown name costs as much time as a known one, so that names cannot be told apart.
async fn verify(hash: Option<String>, password: String) -> Result<bool, Error> {
    let verified = tokio::task::spawn_blocking(move || match hash {
        Some(hash) => PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        }),
        None => Argon2::default()
            .hash_password(password.as_bytes())
            .is_err(),
    });
    verified
        .await
        .map_err(|error| Error::Internal(error.into()))
}

async fn begin_session(db: &PgPool, user: UserId) -> Result<String, Error> {
    let token = make_token();
    sessions::begin(db, user, &hash_token(&token), SESSION_DAYS).await?;
    Ok(token)
}
