//! Which objects does the store hold?

use std::collections::HashMap;

use cooperage_protocol::Digest;
use sqlx::PgConnection;

/// Keeps other uploads and removals of an object out until the transaction ends.
pub async fn lock(db: &mut PgConnection, digest: Digest) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))::text AS locked",
        digest.to_string(),
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Forgets an object unless an image has a piece of it; true when it was forgotten.
pub async fn delete_unused(db: &mut PgConnection, digest: Digest) -> sqlx::Result<bool> {
    let digest = digest.to_string();
    // A build that is publishing an image of it holds the row: wait, and look only then.
    sqlx::query!(
        "SELECT digest FROM objects WHERE digest = $1 FOR UPDATE",
        digest
    )
    .fetch_optional(&mut *db)
    .await?;
    let deleted = sqlx::query!(
        "DELETE FROM objects
         WHERE digest = $1
           AND NOT EXISTS (
               SELECT 1
               FROM images
               WHERE layout @> jsonb_build_array(jsonb_build_object('object', $1::text))
           )",
        digest,
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Notes an object that is complete and on disk.
pub async fn insert(db: &mut PgConnection, digest: Digest, size: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO objects (digest, size_bytes) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING",
        digest.to_string(),
        size,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The sizes of those of the objects that are there.
pub async fn sizes(
    db: &mut PgConnection,
    digests: &[String],
) -> sqlx::Result<HashMap<String, i64>> {
    let rows = sqlx::query!(
        "SELECT digest, size_bytes FROM objects WHERE digest = ANY($1) FOR SHARE",
        digests,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.digest, row.size_bytes))
        .collect())
}
