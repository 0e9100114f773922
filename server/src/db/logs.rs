//! The log of a build: the logs of all its attempts, one after the other.
//!
//! Readers count the bytes of that whole, so that one who resumes neither misses nor repeats
//! anything when a second attempt begins; writers count those of their attempt.

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

/// A piece of a log.
#[derive(Debug)]
pub struct Piece {
    /// Where it starts in the whole log.
    pub start: i64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The next pieces from `offset` on, cut so that the first begins exactly there.
pub async fn read(db: &PgPool, build: BuildId, offset: i64) -> sqlx::Result<Vec<Piece>> {
    let mut pieces = sqlx::query_as!(
        Piece,
        r#"SELECT start AS "start!", bytes
        FROM (
            SELECT attempt, number, bytes,
                (sum(octet_length(bytes)) OVER (ORDER BY attempt, number)
                    - octet_length(bytes))::bigint AS start
            FROM build_log_chunks
            WHERE build_id = $1
        ) AS log
        WHERE start + octet_length(bytes) > $2
        ORDER BY attempt, number
        LIMIT 64"#,
        build.0,
        offset,
    )
    .fetch_all(db)
    .await?;
    if let Some(first) = pieces.first_mut()
        && let Ok(before) = usize::try_from(offset - first.start)
    {
        first.bytes.drain(..before);
        first.start = offset;
    }
    Ok(pieces)
}

/// How many bytes the log has so far.
pub async fn length(db: &PgPool, build: BuildId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(sum(octet_length(bytes)), 0)::bigint AS "length!"
        FROM build_log_chunks
        WHERE build_id = $1"#,
        build.0,
    )
    .fetch_one(db)
    .await
}
