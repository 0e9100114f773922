//! Which tokens speak for which accounts? Only their hashes are kept.

use cooperage_protocol::{Scope, UserId};
use sqlx::PgPool;

/// A token that is good today, and whose it is.
#[derive(Debug)]
pub(crate) struct Token {
    /// The account.
    pub(crate) user: UserId,
    /// The account's name.
    pub(crate) user_name: String,
    /// Whether the account is an administrator's.
    pub(crate) is_admin: bool,
    /// What it is good for.
    pub(crate) scopes: Vec<Scope>,
}

/// Lets a token speak for an account, without an end and for everything; does nothing when it
/// does so already.
pub(crate) async fn put_for_everything(
    db: &PgPool,
    user: UserId,
    token_hash: &[u8],
    name: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO api_tokens (token_hash, user_id, name, scopes)
        VALUES ($1, $2, $3, '{admin}')
        ON CONFLICT (token_hash) DO NOTHING",
        token_hash,
        user.0,
        name,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The token of this hash, unless it has expired or its account is disabled; notes its use.
pub(crate) async fn find(db: &PgPool, token_hash: &[u8]) -> sqlx::Result<Option<Token>> {
    let row = sqlx::query!(
        r#"WITH used AS (
            UPDATE api_tokens
            SET last_used_at = now()
            WHERE token_hash = $1
                AND (expires_at IS NULL OR expires_at > now())
                AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        )
        SELECT user_id, users.name, is_admin, scopes
        FROM api_tokens
        JOIN users ON users.id = api_tokens.user_id
        WHERE token_hash = $1
            AND (expires_at IS NULL OR expires_at > now())
            AND disabled_at IS NULL"#,
        token_hash,
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Token {
        user: row.user_id.into(),
        user_name: row.name,
        is_admin: row.is_admin,
        scopes: read_scopes(&row.scopes)?,
    }))
}

fn read_scopes(words: &[String]) -> sqlx::Result<Vec<Scope>> {
    let scopes = words.iter().map(|word| word.parse());
    scopes
        .collect::<Result<_, _>>()
        .map_err(|error: cooperage_protocol::rights::UnknownWord| sqlx::Error::Decode(error.into()))
}
