//! Who is logged in.

use cooperage_protocol::UserId;
use sqlx::PgPool;

/// A session that goes on, and whose it is.
#[derive(Debug)]
pub(crate) struct Session {
    /// The account.
    pub(crate) user: UserId,
    /// The account's name.
    pub(crate) user_name: String,
    /// Whether the account is an administrator's.
    pub(crate) is_admin: bool,
}

/// Begins a session of `days` days, and forgets those that are over.
pub async fn begin(db: &PgPool, user: UserId, token_hash: &[u8], days: i32) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sessions WHERE expires_at < now()")
        .execute(db)
        .await?;
    sqlx::query!(
        "INSERT INTO sessions (token_hash, user_id, expires_at)
        VALUES ($1, $2, now() + make_interval(days => $3))",
        token_hash,
        user.0,
        days,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends a session.
pub async fn end(db: &PgPool, token_hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sessions WHERE token_hash = $1", token_hash)
        .execute(db)
        .await?;
    Ok(())
}

/// The session of this hash, unless it is over or its account is disabled; notes its use.
pub(crate) async fn find(db: &PgPool, token_hash: &[u8]) -> sqlx::Result<Option<Session>> {
    let row = sqlx::query!(
        "WITH used AS (
            UPDATE sessions
            SET last_used_at = now()
            WHERE token_hash = $1 AND last_used_at < now() - interval '1 minute'
        )
        SELECT user_id, users.name, is_admin
        FROM sessions
        JOIN users ON users.id = sessions.user_id
        WHERE token_hash = $1 AND expires_at > now() AND disabled_at IS NULL",
        token_hash,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Session {
        user: row.user_id.into(),
        user_name: row.name,
        is_admin: row.is_admin,
    }))
}
