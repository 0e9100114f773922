//! Who is logged in.

use cooperage_protocol::UserId;
use sqlx::PgPool;

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

/// The name of the administrator whose session this is.
pub async fn find_admin(db: &PgPool, token_hash: &[u8]) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT users.name
        FROM sessions
        JOIN users ON users.id = sessions.user_id
        WHERE token_hash = $1 AND expires_at > now() AND is_admin",
        token_hash,
    )
    .fetch_optional(db)
    .await
}
