//! Who vouches for which accounts? An identity is an issuer and a subject, which never changes
//! there; names and addresses do.

use chrono::{DateTime, Utc};
use cooperage_protocol::{IdentityId, UserId};
use sqlx::{PgConnection, PgPool};

/// An account that was found by an identity.
#[derive(Debug)]
pub(crate) struct Linked {
    /// The account.
    pub(crate) user: UserId,
    /// Whether it is shut out.
    pub(crate) is_disabled: bool,
}

/// Somebody at a provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    /// Who vouches.
    pub(crate) issuer: &'a str,
    /// Who they are there.
    pub(crate) subject: &'a str,
    /// What they are called there; nothing is decided by it.
    pub(crate) label: &'a str,
}

/// The account of an identity; notes its use.
pub(crate) async fn find(
    db: &mut PgConnection,
    identity: Identity<'_>,
) -> sqlx::Result<Option<Linked>> {
    sqlx::query_as!(
        Linked,
        r#"UPDATE identities
        SET last_used_at = now(), label = $3
        FROM users
        WHERE issuer = $1 AND subject = $2 AND users.id = user_id
        RETURNING user_id AS "user", disabled_at IS NOT NULL AS "is_disabled!""#,
        identity.issuer,
        identity.subject,
        identity.label,
    )
    .fetch_optional(db)
    .await
}

/// Links an identity to an account; false when it is somebody's already.
pub(crate) async fn insert(
    db: &mut PgConnection,
    user: UserId,
    identity: Identity<'_>,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO identities (issuer, subject, label, user_id, last_used_at)
        VALUES ($1, $2, $3, $4, now())
        ON CONFLICT (issuer, subject) DO NOTHING",
        identity.issuer,
        identity.subject,
        identity.label,
        user.0,
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// An identity of an account.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its id.
    pub(crate) id: IdentityId,
    /// Who vouches.
    pub(crate) issuer: String,
    /// What the person was called there when last seen.
    pub(crate) label: String,
    /// When it was linked.
    pub(crate) created_at: DateTime<Utc>,
    /// When it was last used.
    pub(crate) last_used_at: Option<DateTime<Utc>>,
}

/// The identities of an account, those linked first before the others.
pub(crate) async fn list(db: &PgPool, user: UserId) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT id, issuer, label, created_at, last_used_at
        FROM identities
        WHERE user_id = $1
        ORDER BY created_at, id",
        user.0,
    )
    .fetch_all(db)
    .await
}

/// Unlinks an identity of an account; false when it has none of this id.
pub(crate) async fn delete(
    db: &mut PgConnection,
    user: UserId,
    id: IdentityId,
) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "DELETE FROM identities WHERE user_id = $1 AND id = $2",
        user.0,
        id.0,
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Has all others wait who would change the ways into an account, until the end of the transaction.
pub(crate) async fn lock(db: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("SELECT id FROM users WHERE id = $1 FOR UPDATE", user.0)
        .fetch_optional(db)
        .await?;
    Ok(())
}

/// Whether an account can be signed in to, by a password or by one of these issuers.
pub(crate) async fn can_sign_in(
    db: &mut PgConnection,
    user: UserId,
    issuers: &[String],
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT password_hash IS NOT NULL OR EXISTS (
                SELECT 1 FROM identities WHERE user_id = users.id AND issuer = ANY ($2)
            ) AS "can!"
        FROM users
        WHERE id = $1"#,
        user.0,
        issuers,
    )
    .fetch_one(db)
    .await
}
