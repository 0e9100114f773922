//! How does somebody prove who they are? By a password, once; then by a session.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use cooperage_protocol::{Password, UserId};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;

use crate::db::sessions::Place;
use crate::db::{sessions, tokens, users};
use crate::error::Error;
use crate::login_limit::LoginLimit;
use crate::passwords;
use crate::state::Hub;

/// The cookie that holds a session's token.
pub const SESSION_COOKIE: &str = "cooperage_session";
/// How long a session lasts.
pub const SESSION_DAYS: i32 = 14;

const ADMIN: &str = "admin";
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
            {
                let hash = passwords::hash(password.into()).await?;
                users::put_admin(db, ADMIN, &hash).await?
            }
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

/// Checks name and password; gives the token of a session that has begun.
pub(crate) async fn log_in(
    hub: &Hub,
    limit: &LoginLimit,
    (name, password): (&str, Password),
    place: &Place,
) -> Result<String, Error> {
    let name = name.trim().to_lowercase();
    if name.len() > LONGEST_NAME {
        return Err(WRONG);
    }
    let attempt = limit.attempt(&name, &place.address).await?;
    let account = users::find(&hub.db, &name).await?;
    let user = account.as_ref().map(|account| account.id);
    let stored = account.and_then(|account| account.password_hash);
    let is_right = passwords::verify(stored, password).await?;
    if let Some(user) = user.filter(|_| is_right) {
        return begin_session(hub, user, place).await;
    }
    attempt.failed();
    Err(WRONG)
}

/// Begins a session of somebody who has proved who they are; gives its token.
pub(crate) async fn begin_session(hub: &Hub, user: UserId, place: &Place) -> Result<String, Error> {
    let token = make_token();
    sessions::begin(&hub.db, user, &hash_token(&token), SESSION_DAYS, place).await?;
    Ok(token)
}
