//! Which accounts may set a password by a link?

use chrono::{DateTime, Utc};
use cooperage_protocol::UserId;
use sqlx::{PgConnection, PgPool};

/// Invites an account for `days` days, in place of the invitation before.
pub(crate) async fn put(
    db: &PgPool,
    user: UserId,
    token_hash: &[u8],
    days: i32,
) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(
        "INSERT INTO invitations (user_id, token_hash, expires_at)
        VALUES ($1, $2, now() + make_interval(days => $3))
        ON CONFLICT (user_id) DO UPDATE
        SET token_hash = EXCLUDED.token_hash,
            expires_at = EXCLUDED.expires_at,
            created_at = now()
        RETURNING expires_at",
        user.0,
        token_hash,
        days,
    )
    .fetch_one(db)
    .await
}

/// Takes an invitation, which is good once; gives whom it invited.
pub(crate) async fn take(db: &mut PgConnection, token_hash: &[u8]) -> sqlx::Result<Option<UserId>> {
    let taken = sqlx::query_scalar!(
        "DELETE FROM invitations
        USING users
        WHERE token_hash = $1
            AND expires_at > now()
            AND users.id = invitations.user_id
            AND disabled_at IS NULL
        RETURNING user_id",
        token_hash,
    )
    .fetch_optional(db)
    .await?;
    Ok(taken.map(UserId))
}
