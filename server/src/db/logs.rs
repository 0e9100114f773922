//! What has an attempt of a build printed?

use cooperage_protocol::BuildId;
use sqlx::PgPool;

/// A piece of the log of an attempt.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// The build.
    pub build: BuildId,
    /// The attempt that printed it.
    pub attempt: i32,
    /// Which piece it is, from 0.
    pub number: i32,
    /// Bytes of all pieces before.
    pub start_offset: i64,
    /// What was printed.
    pub bytes: &'a [u8],
}

/// The last piece that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// Which piece it is.
    pub number: i32,
    /// Bytes of the log with it.
    pub end_offset: i64,
}

/// The last stored piece of an attempt's log.
pub async fn last(db: &PgPool, build: BuildId, attempt: i32) -> sqlx::Result<Option<Last>> {
    sqlx::query_as!(
        Last,
        r#"SELECT number, start_offset + length(bytes) AS "end_offset!"
           FROM build_log_chunks
           WHERE build_id = $1 AND attempt = $2
           ORDER BY number DESC
           LIMIT 1"#,
        build.0,
        attempt,
    )
    .fetch_optional(db)
    .await
}

/// Stores a piece, and wakes those who follow the log; repeating it changes nothing.
pub async fn append(db: &PgPool, chunk: &Chunk<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH stored AS (
             INSERT INTO build_log_chunks (build_id, attempt, number, start_offset, bytes)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (build_id, attempt, number) DO NOTHING
             RETURNING build_id
         )
         SELECT pg_notify('build_log', build_id::text)::text AS notified FROM stored",
        chunk.build.0,
        chunk.attempt,
        chunk.number,
        chunk.start_offset,
        chunk.bytes,
    )
    .fetch_optional(db)
    .await?;
    Ok(())
}
