//! How does a worker get its token, and prove that it has one?

use cooperage_protocol::WorkerId;
use rand::RngCore;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::db::workers;
use crate::error::Error;
use crate::state::Hub;

/// Registers a worker and gives its token, which is stored nowhere.
pub async fn add_worker(hub: &Hub, name: &str) -> Result<String, Error> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err(Error::Unprocessable(
            "a worker's name has 1 to 64 characters".to_owned(),
        ));
    }
    let token = random_hex();
    workers::insert(&hub.db, name, &hash(&token))
        .await?
        .map(|_| token)
        .ok_or_else(|| Error::Conflict(format!("there is a worker {name:?} already")))
}

/// The worker that a token belongs to.
pub(crate) async fn authenticate(hub: &Hub, token: &str) -> Result<WorkerId, Error> {
    let presented = hash(token);
    match workers::by_token(&hub.db, &presented).await? {
        Some((id, stored)) if bool::from(stored.as_slice().ct_eq(&presented)) => Ok(id),
        _ => Err(Error::Unauthorized("the token is not that of a worker")),
    }
}

/// 32 random bytes in hex: a token or a secret.
pub(crate) fn random_hex() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
