//! Reading the log of a build: the logs of all its attempts, one after the other.
//!
//! Offsets count the bytes of that whole, so that a reader who resumes neither misses nor repeats
//! anything when a second attempt begins.

use cooperage_protocol::BuildId;
use sqlx::PgPool;

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
