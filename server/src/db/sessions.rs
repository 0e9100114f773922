//! Who is logged in.

use chrono::{DateTime, Utc};
use cooperage_protocol::{SessionId, UserId};
use sqlx::PgPool;

/// A session that goes on, and whose it is.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its id.
    pub(crate) id: SessionId,
    /// The account.
    pub(crate) user: UserId,
    /// The account's name.
    pub(crate) user_name: String,
    /// Whether the account is an administrator's.
    pub(crate) is_admin: bool,
}

/// Where a session is used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The address that it began from.
    pub(crate) address: String,
    /// What the browser calls itself.
    pub(crate) agent: String,
}

/// Begins a session of `days` days, and forgets those that are over.
pub(crate) async fn begin(
    db: &PgPool,
    user: UserId,
    token_hash: &[u8],
    days: i32,
    place: &Place,
) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sessions WHERE expires_at < now()")
        .execute(db)
        .await?;
    sqlx::query!(
        "INSERT INTO sessions (token_hash, user_id, expires_at, address, agent)
        VALUES ($1, $2, now() + make_interval(days => $3), $4, $5)",
        token_hash,
        user.0,
        days,
        place.address,
        place.agent,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends a session.
pub(crate) async fn end(db: &PgPool, token_hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sessions WHERE token_hash = $1", token_hash)
        .execute(db)
        .await?;
    Ok(())
}

/// Ends a session of an account; false when it has none of this id.
pub(crate) async fn delete(db: &PgPool, user: UserId, id: SessionId) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "DELETE FROM sessions WHERE user_id = $1 AND id = $2",
        user.0,
        id.0,
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Ends all sessions of an account, but the one to keep.
pub(crate) async fn delete_others(
    db: &PgPool,
    user: UserId,
    kept: Option<SessionId>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2",
        user.0,
        kept.map(|id| id.0),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A session in a list.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its id.
    pub(crate) id: SessionId,
    /// The address that it began from.
    pub(crate) address: String,
    /// What the browser calls itself.
    pub(crate) agent: String,
    /// When it began.
    pub(crate) created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub(crate) last_used_at: DateTime<Utc>,
}

/// The sessions of an account, those used last first.
pub(crate) async fn list(db: &PgPool, user: UserId) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT id, address, agent, created_at, last_used_at
        FROM sessions
        WHERE user_id = $1 AND expires_at > now()
        ORDER BY last_used_at DESC",
        user.0,
    )
    .fetch_all(db)
    .await
}

/// The session of this hash, unless it is over or its account is disabled; notes its use.
pub(crate) async fn find(db: &PgPool, token_hash: &[u8]) -> sqlx::Result<Option<Session>> {
    sqlx::query_as!(
        Session,
        r#"WITH used AS (
            UPDATE sessions
            SET last_used_at = now()
            WHERE token_hash = $1 AND last_used_at < now() - interval '1 minute'
        )
        SELECT sessions.id, user_id AS "user", users.name AS user_name, is_admin
        FROM sessions
        JOIN users ON users.id = sessions.user_id
        WHERE token_hash = $1 AND expires_at > now() AND disabled_at IS NULL"#,
        token_hash,
    )
    .fetch_optional(db)
    .await
}
