//! What was sent to which collection, to be named by its manifests?

use chrono::{DateTime, Utc};
use cooperage_protocol::{CollectionId, Digest};
use sqlx::{PgConnection, PgPool};

/// Notes that a collection has a blob, which is an object of the store.
pub(crate) async fn put(
    db: &mut PgConnection,
    collection: CollectionId,
    digest: Digest,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO blobs (collection_id, digest)
         VALUES ($1, $2)
         ON CONFLICT (collection_id, digest) DO UPDATE SET needed_at = now()",
        collection.0,
        digest.to_string(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The size of a blob of a collection, and that it is needed now.
pub(crate) async fn need(
    db: &mut PgConnection,
    collection: CollectionId,
    digest: Digest,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "UPDATE blobs
         SET needed_at = now()
         FROM objects
         WHERE objects.digest = blobs.digest
           AND blobs.collection_id = $1
           AND blobs.digest = $2
         RETURNING objects.size_bytes",
        collection.0,
        digest.to_string(),
    )
    .fetch_optional(db)
    .await
}

/// A blob of a collection.
#[derive(Debug)]
pub(crate) struct Blob {
    /// How many bytes it has.
    pub(crate) size_bytes: i64,
    /// Since when the store has them.
    pub(crate) created_at: DateTime<Utc>,
}

/// The blob of a collection that has this digest.
pub(crate) async fn find(
    db: &PgPool,
    collection: CollectionId,
    digest: Digest,
) -> sqlx::Result<Option<Blob>> {
    sqlx::query_as!(
        Blob,
        "SELECT size_bytes, created_at
         FROM blobs
         JOIN objects ON objects.digest = blobs.digest
         WHERE collection_id = $1 AND blobs.digest = $2",
        collection.0,
        digest.to_string(),
    )
    .fetch_optional(db)
    .await
}

/// Takes a blob from a collection, unless a manifest names it; tells whether it was there.
pub(crate) async fn delete(
    db: &PgPool,
    collection: CollectionId,
    digest: Digest,
) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "DELETE FROM blobs
         WHERE collection_id = $1
           AND digest = $2
           AND NOT EXISTS (
               SELECT 1
               FROM manifest_parts
               WHERE manifest_parts.collection_id = $1 AND manifest_parts.digest = $2
           )",
        collection.0,
        digest.to_string(),
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() > 0)
}

/// Takes blobs from their collections that no manifest has named for so long. A manifest that is
/// being pushed has changed `needed_at` of its blobs, which is looked at again then.
pub(crate) async fn forget_unneeded(db: &PgPool, seconds: f64) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM blobs
         WHERE needed_at < now() - make_interval(secs => $1)
           AND NOT EXISTS (
               SELECT 1
               FROM manifest_parts
               WHERE manifest_parts.collection_id = blobs.collection_id
                 AND manifest_parts.digest = blobs.digest
           )",
        seconds,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The bytes of what was pushed to a collection.
pub(crate) async fn pushed_bytes(db: &PgPool, collection: CollectionId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT COALESCE(sum(size_bytes), 0)::bigint AS "bytes!"
         FROM objects
         WHERE digest IN (
             SELECT digest FROM blobs WHERE collection_id = $1
             UNION
             SELECT digest FROM images WHERE collection_id = $1 AND build_id IS NULL
         )"#,
        collection.0,
    )
    .fetch_one(db)
    .await
}
