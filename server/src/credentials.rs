//! As whom does a collection fetch its bases? Accounts go to its own builds and nowhere else.

use cooperage_protocol::admin::{Credential, NewCredential};
use cooperage_protocol::worker::RegistryAccount;
use cooperage_protocol::{CollectionId, CollectionName};
use uuid::Uuid;

use crate::collections;
use crate::db::credentials::{self, Row};
use crate::error::Error;
use crate::keyring::{Keyring, Sealed};
use crate::state::Hub;

const LONGEST: usize = 4096;

/// Sets the account of a collection for a registry, in place of the one before.
pub async fn put_credential(
    hub: &Hub,
    name: &CollectionName,
    new: &NewCredential,
) -> Result<(), Error> {
    let collection = collections::find(hub, name).await?;
    let registry = parse_registry(&new.registry)?;
    check_account(new)?;
    let mut row = Row {
        id: Uuid::now_v7(),
        collection_id: collection.id.0,
        registry,
        username: new.username.clone(),
        key_id: String::new(),
        password: Vec::new(),
        changed_at: chrono::Utc::now(),
    };
    let sealed = Keyring::open(&hub.config)?.seal(&new.password, &context(&row))?;
    (row.key_id, row.password) = (sealed.key_id, sealed.bytes);
    credentials::put(&hub.db, &row).await?;
    tracing::info!(collection.id = %collection.id, "{name} has an account for {}", row.registry);
    Ok(())
}

/// The accounts of a collection, without their passwords.
pub async fn credentials(hub: &Hub, name: &CollectionName) -> Result<Vec<Credential>, Error> {
    let collection = collections::find(hub, name).await?;
    let rows = credentials::list(&hub.db, Some(collection.id)).await?;
    let shown = rows.into_iter().map(|row| Credential {
        registry: row.registry,
        username: row.username,
        changed_at: row.changed_at,
    });
    Ok(shown.collect())
}

/// Forgets the account of a collection for a registry.
pub async fn remove_credential(
    hub: &Hub,
    name: &CollectionName,
    registry: &str,
) -> Result<(), Error> {
    let collection = collections::find(hub, name).await?;
    let registry = parse_registry(registry)?;
    if !credentials::delete(&hub.db, collection.id, &registry).await? {
        return Err(Error::NotFound(format!(
            "{name} has no account for {registry}"
        )));
    }
    tracing::info!(collection.id = %collection.id, "{name} has no account for {registry} now");
    Ok(())
}

/// What a worker needs for a build of the collection. One that does not open is left out: the
/// build then says that the registry refuses it.
pub(crate) async fn for_build(
    hub: &Hub,
    collection: CollectionId,
) -> Result<Vec<RegistryAccount>, Error> {
    let rows = credentials::list(&hub.db, Some(collection)).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let keyring = Keyring::open(&hub.config)?;
    let mut accounts = Vec::new();
    for row in rows {
        match keyring.unseal(&sealed(&row), &context(&row)) {
            Ok(password) => accounts.push(RegistryAccount {
                registry: row.registry,
                username: row.username,
                password,
            }),
            Err(error) => {
                tracing::error!(%error, %collection, "account for {} cannot be used", row.registry);
            }
        }
    }
    Ok(accounts)
}

/// Seals with today's key what an older one sealed.
pub(crate) async fn reseal(hub: &Hub) -> anyhow::Result<()> {
    let keyring = Keyring::open(&hub.config)?;
    for row in credentials::list(&hub.db, None).await? {
        let old = sealed(&row);
        if !keyring.is_old(&old) {
            continue;
        }
        match keyring.unseal(&old, &context(&row)) {
            Ok(password) => {
                let sealed = keyring.seal(&password, &context(&row))?;
                credentials::reseal(&hub.db, row.id, &sealed.key_id, &sealed.bytes).await?;
            }
            Err(error) => tracing::error!(%error, "account for {} is lost", row.registry),
        }
    }
    Ok(())
}

fn sealed(row: &Row) -> Sealed {
    Sealed {
        key_id: row.key_id.clone(),
        bytes: row.password.clone(),
    }
}

/// Binds a sealed password to its row.
fn context(row: &Row) -> String {
    let Row {
        id,
        collection_id,
        registry,
        username,
        ..
    } = row;
    format!("registry-credential\n{id}\n{collection_id}\n{registry}\n{username}")
}

fn parse_registry(text: &str) -> Result<String, Error> {
    let registry = text.trim().to_ascii_lowercase();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if registry.is_empty() || registry.len() > 255 || !registry.chars().all(allowed) {
        return Err(Error::Unprocessable(format!(
            "registry {text:?} is not a host, or a host and a port: ghcr.io, or localhost:5000"
        )));
    }
    Ok(registry)
}

fn check_account(new: &NewCredential) -> Result<(), Error> {
    let refused = |told: &str| Err(Error::Unprocessable(told.to_owned()));
    let username = &new.username;
    if username.is_empty() || username.len() > LONGEST || username.contains([':', '\n', '\r']) {
        return refused("the user name is empty, too long, or has a colon or a line's end in it");
    }
    if new.password.expose().is_empty() || new.password.expose().len() > LONGEST {
        return refused("the password is empty or longer than 4096 bytes");
    }
    Ok(())
}
