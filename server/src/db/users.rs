//! Accounts and the tokens of their programs.

use cooperage_protocol::UserId;
use sqlx::PgPool;

/// Who is to be let in, and against what the password is checked.
#[derive(Debug)]
pub struct Account {
    /// The account.
    pub id: UserId,
    /// Its password as Argon2 wrote it (PHC string).
    pub password_hash: String,
}

/// Finds an administrator by name, whatever its capitals.
pub async fn find_admin(db: &PgPool, name: &str) -> sqlx::Result<Option<Account>> {
    sqlx::query_as!(
        Account,
        "SELECT id, password_hash
        FROM users
        WHERE lower(name) = lower($1) AND is_admin",
        name,
    )
    .fetch_optional(db)
    .await
}

/// Makes an administrator, or gives an existing account this password.
pub async fn put_admin(db: &PgPool, name: &str, password_hash: &str) -> sqlx::Result<UserId> {
    let id = sqlx::query_scalar!(
        "INSERT INTO users (id, name, password_hash, is_admin)
        VALUES ($1, $2, $3, true)
        ON CONFLICT (lower(name)) DO UPDATE
        SET password_hash = EXCLUDED.password_hash,
            is_admin = true
        RETURNING id",
        UserId::generate().0,
        name,
        password_hash,
    )
    .fetch_one(db)
    .await?;
    Ok(UserId(id))
}

/// Lets a token speak for an account; does nothing when it does so already.
pub async fn put_token(
    db: &PgPool,
    user: UserId,
    token_hash: &[u8],
    name: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO api_tokens (token_hash, user_id, name)
        VALUES ($1, $2, $3)
        ON CONFLICT (token_hash) DO NOTHING",
        token_hash,
        user.0,
        name,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes the use of an administrator's token; tells whether it is one.
pub async fn use_admin_token(db: &PgPool, token_hash: &[u8]) -> sqlx::Result<bool> {
    let used = sqlx::query!(
        "UPDATE api_tokens
        SET last_used_at = now()
        FROM users
        WHERE token_hash = $1 AND users.id = api_tokens.user_id AND users.is_admin",
        token_hash,
    )
    .execute(db)
    .await?;
    Ok(used.rows_affected() == 1)
}
