//! Which workers were given a token?

use cooperage_protocol::WorkerId;
use sqlx::PgPool;

/// Registers a worker by the SHA-256 of its token; nothing when the name is taken.
pub async fn insert(db: &PgPool, name: &str, token_hash: &[u8]) -> sqlx::Result<Option<WorkerId>> {
    let id = sqlx::query_scalar!(
        "INSERT INTO workers (id, name, token_hash)
         VALUES ($1, $2, $3)
         ON CONFLICT (name) DO NOTHING
         RETURNING id",
        WorkerId::generate().0,
        name,
        token_hash,
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(WorkerId))
}

/// The worker that holds a token with this SHA-256, and the hash as stored; notes that it called.
pub async fn by_token(db: &PgPool, token_hash: &[u8]) -> sqlx::Result<Option<(WorkerId, Vec<u8>)>> {
    let row = sqlx::query!(
        "UPDATE workers
         SET seen_at = now()
         WHERE token_hash = $1
         RETURNING id, token_hash",
        token_hash,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (WorkerId(row.id), row.token_hash)))
}

/// Go's names of the architectures that workers build for, as far as they told.
pub(crate) async fn architectures(db: &PgPool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT architecture AS "architecture!"
         FROM workers
         WHERE architecture <> ''
         ORDER BY 1"#
    )
    .fetch_all(db)
    .await
}

/// Notes what a worker told of itself.
pub async fn describe(
    db: &PgPool,
    id: WorkerId,
    version: &str,
    architecture: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE workers
         SET version = $2, architecture = $3
         WHERE id = $1 AND (version, architecture) IS DISTINCT FROM ($2, $3)",
        id.0,
        version,
        architecture,
    )
    .execute(db)
    .await?;
    Ok(())
}
