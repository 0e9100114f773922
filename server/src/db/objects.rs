//! Which objects does the store hold?

use std::collections::HashMap;

use cooperage_protocol::Digest;
use sqlx::{PgConnection, PgPool};

/// Notes an object that is complete and on disk.
pub async fn insert(db: &PgPool, digest: Digest, size: i64) -> sqlx::Result<()> {
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
