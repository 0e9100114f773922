//! Which browsers were sent to a provider and have not come back?

use cooperage_protocol::UserId;
use sqlx::PgPool;

/// A browser that was sent to a provider.
#[derive(Debug)]
pub(crate) struct Row {
    /// The provider's id.
    pub(crate) provider: String,
    /// What its token has to name.
    pub(crate) nonce: String,
    /// What proves to it that the code comes from where it went (PKCE).
    pub(crate) verifier: String,
    /// The page to go on with.
    pub(crate) next: String,
    /// Whose account is to be linked.
    pub(crate) user: Option<UserId>,
    /// Which invitation is to be taken.
    pub(crate) invitation_hash: Option<Vec<u8>>,
}

/// What tells a browser that comes back from all others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashes {
    /// Of the state that was sent along.
    pub(crate) state: [u8; 32],
    /// Of the browser's cookie.
    pub(crate) browser: [u8; 32],
}

/// How many may be under way from one address; those begun first are forgotten.
const MOST: i64 = 100;

/// Remembers a browser for ten minutes, and forgets those that did not come back.
pub(crate) async fn insert(
    db: &PgPool,
    row: &Row,
    hashes: Hashes,
    address: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM sign_ins
        WHERE expires_at < now()
            OR state_hash IN (
                SELECT state_hash FROM sign_ins
                WHERE address = $1
                ORDER BY expires_at DESC
                OFFSET $2
            )",
        address,
        MOST - 1,
    )
    .execute(db)
    .await?;
    sqlx::query!(
        "INSERT INTO sign_ins (state_hash, browser_hash, provider, nonce, verifier, next, user_id,
            invitation_hash, address, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + interval '10 minutes')",
        &hashes.state[..],
        &hashes.browser[..],
        row.provider,
        row.nonce,
        row.verifier,
        row.next,
        row.user.map(|user| user.0),
        row.invitation_hash,
        address,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes a browser that came back, which it may once.
pub(crate) async fn take(db: &PgPool, provider: &str, hashes: Hashes) -> sqlx::Result<Option<Row>> {
    let taken = sqlx::query!(
        "DELETE FROM sign_ins
        WHERE state_hash = $1 AND browser_hash = $2 AND provider = $3 AND expires_at > now()
        RETURNING provider, nonce, verifier, next, user_id, invitation_hash",
        &hashes.state[..],
        &hashes.browser[..],
        provider,
    )
    .fetch_optional(db)
    .await?;
    Ok(taken.map(|row| Row {
        provider: row.provider,
        nonce: row.nonce,
        verifier: row.verifier,
        next: row.next,
        user: row.user_id.map(UserId),
        invitation_hash: row.invitation_hash,
    }))
}
