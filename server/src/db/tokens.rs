//! Which tokens speak for which accounts? Only their hashes are kept.

use cooperage_protocol::accounts;
use cooperage_protocol::{Scope, TokenId, UserId};
use sqlx::PgPool;

/// A token that is good today, and whose it is.
#[derive(Debug)]
pub(crate) struct Token {
    /// Its id.
    pub(crate) id: TokenId,
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

/// Lets a token speak for an account as far as `new` says.
pub(crate) async fn insert(
    db: &PgPool,
    user: UserId,
    token_hash: &[u8],
    new: &accounts::NewToken,
) -> sqlx::Result<()> {
    let scopes: Vec<String> = new.scopes.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "INSERT INTO api_tokens (token_hash, user_id, name, scopes, expires_at)
        VALUES ($1, $2, $3, $4, now() + make_interval(days => $5))",
        token_hash,
        user.0,
        new.name,
        &scopes,
        new.days.map(i32::from),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The tokens of an account, those made last first; also those that have expired.
pub(crate) async fn list(db: &PgPool, user: UserId) -> sqlx::Result<Vec<accounts::Token>> {
    let rows = sqlx::query!(
        "SELECT id, name, scopes, created_at, expires_at, last_used_at
        FROM api_tokens
        WHERE user_id = $1
        ORDER BY created_at DESC, id",
        user.0,
    )
    .fetch_all(db)
    .await?;
    let tokens = rows.into_iter().map(|row| {
        Ok(accounts::Token {
            id: row.id.into(),
            name: row.name,
            scopes: read_scopes(&row.scopes)?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
        })
    });
    tokens.collect()
}

/// Revokes a token of an account; false when it has none of this id.
pub(crate) async fn delete(db: &PgPool, user: UserId, id: TokenId) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "DELETE FROM api_tokens WHERE user_id = $1 AND id = $2",
        user.0,
        id.0,
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

struct Row {
    id: uuid::Uuid,
    user_id: uuid::Uuid,
    name: String,
    is_admin: bool,
    scopes: Vec<String>,
}

impl Row {
    fn read(self) -> sqlx::Result<Token> {
        Ok(Token {
            id: self.id.into(),
            user: self.user_id.into(),
            user_name: self.name,
            is_admin: self.is_admin,
            scopes: read_scopes(&self.scopes)?,
        })
    }
}

/// The token of this hash, unless it has expired or its account is disabled; notes its use.
pub(crate) async fn find(db: &PgPool, token_hash: &[u8]) -> sqlx::Result<Option<Token>> {
    let row = sqlx::query_as!(
        Row,
        "WITH used AS (
            UPDATE api_tokens
            SET last_used_at = now()
            WHERE token_hash = $1
                AND (expires_at IS NULL OR expires_at > now())
                AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        )
        SELECT api_tokens.id, user_id, users.name, is_admin, scopes
        FROM api_tokens
        JOIN users ON users.id = api_tokens.user_id
        WHERE token_hash = $1
            AND (expires_at IS NULL OR expires_at > now())
            AND disabled_at IS NULL",
        token_hash,
    )
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}

/// The token of this id, unless it has expired, was revoked, or its account is disabled.
pub(crate) async fn find_by_id(db: &PgPool, id: TokenId) -> sqlx::Result<Option<Token>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT api_tokens.id, user_id, users.name, is_admin, scopes
        FROM api_tokens
        JOIN users ON users.id = api_tokens.user_id
        WHERE api_tokens.id = $1
            AND (expires_at IS NULL OR expires_at > now())
            AND disabled_at IS NULL",
        id.0,
    )
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}

fn read_scopes(words: &[String]) -> sqlx::Result<Vec<Scope>> {
    let scopes = words.iter().map(|word| word.parse());
    scopes
        .collect::<Result<_, _>>()
        .map_err(|error: cooperage_protocol::rights::UnknownWord| sqlx::Error::Decode(error.into()))
}
