//! How are passwords kept, and which are taken? As Argon2 writes them; long ones.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use cooperage_protocol::Password;

use crate::error::Error;

const SHORTEST: usize = 10;
const LONGEST: usize = 1024;

/// Refuses a password that is too easily found.
pub(crate) fn check(password: &Password) -> Result<(), Error> {
    let length = password.expose().chars().count();
    if (SHORTEST..=LONGEST).contains(&length) {
        return Ok(());
    }
    Err(Error::Unprocessable(format!(
        "a password has {SHORTEST} to {LONGEST} characters, this one has {length}"
    )))
}

/// A password as it is stored.
pub(crate) async fn hash(password: Password) -> Result<String, Error> {
    let hashed = tokio::task::spawn_blocking(move || {
        let hash = Argon2::default().hash_password(password.expose().as_bytes());
        hash.map(|hash| hash.to_string())
            .map_err(|error| anyhow::anyhow!("hashing a password: {error}"))
    });
    Ok(hashed.await.map_err(anyhow::Error::from)??)
}

/// Whether a password is the one that was stored. No stored one costs as much time as a wrong one,
/// so that names cannot be told apart.
pub(crate) async fn verify(stored: Option<String>, password: Password) -> Result<bool, Error> {
    let verified = tokio::task::spawn_blocking(move || {
        let password = password.expose().as_bytes();
        let argon2 = Argon2::default();
        match stored {
            Some(stored) => PasswordHash::new(&stored)
                .is_ok_and(|hash| argon2.verify_password(password, &hash).is_ok()),
            None => argon2.hash_password(password).is_err(),
        }
    });
    verified
        .await
        .map_err(|error| Error::Internal(error.into()))
}
