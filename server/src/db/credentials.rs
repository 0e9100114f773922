//! Which accounts do collections have for registries? Passwords are sealed.

use chrono::{DateTime, Utc};
use cooperage_protocol::CollectionId;
use sqlx::PgPool;
use uuid::Uuid;

/// An account as it is stored.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its id: another one whenever the password is replaced.
    pub(crate) id: Uuid,
    /// The collection.
    pub(crate) collection_id: Uuid,
    /// The registry's host, with its port if it has one.
    pub(crate) registry: String,
    /// The user name.
    pub(crate) username: String,
    /// Which key opens the password.
    pub(crate) key_id: String,
    /// The sealed password.
    pub(crate) password: Vec<u8>,
    /// When it was set.
    pub(crate) changed_at: DateTime<Utc>,
}

/// Sets the account of a collection for a registry, in place of the one before.
pub(crate) async fn put(db: &PgPool, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO registry_credentials
             (id, collection_id, registry, username, key_id, password)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (collection_id, registry) DO UPDATE
         SET id = EXCLUDED.id, username = EXCLUDED.username, key_id = EXCLUDED.key_id,
             password = EXCLUDED.password, changed_at = now()",
        row.id,
        row.collection_id,
        row.registry,
        row.username,
        row.key_id,
        row.password,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The accounts of a collection, or all there are.
pub(crate) async fn list(db: &PgPool, of: Option<CollectionId>) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT id, collection_id, registry, username, key_id, password, changed_at
         FROM registry_credentials
         WHERE $1::uuid IS NULL OR collection_id = $1
         ORDER BY registry",
        of.map(|id| id.0),
    )
    .fetch_all(db)
    .await
}

/// Seals a password anew, unless it was replaced meanwhile.
pub(crate) async fn reseal(
    db: &PgPool,
    id: Uuid,
    key_id: &str,
    password: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE registry_credentials SET key_id = $2, password = $3 WHERE id = $1",
        id,
        key_id,
        password,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets an account; false when there was none.
pub(crate) async fn delete(
    db: &PgPool,
    collection: CollectionId,
    registry: &str,
) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "DELETE FROM registry_credentials WHERE collection_id = $1 AND registry = $2",
        collection.0,
        registry,
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() == 1)
}
