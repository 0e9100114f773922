//! Accounts.

use cooperage_protocol::UserId;
use sqlx::PgPool;

/// Who is to be let in, and against what the password is checked.
#[derive(Debug)]
pub struct Account {
    /// The account.
    pub id: UserId,
    /// Its password as Argon2 wrote it (PHC string); none when it cannot log in by one.
    pub password_hash: Option<String>,
}

/// Finds an account that is not disabled by name, whatever its capitals.
pub async fn find(db: &PgPool, name: &str) -> sqlx::Result<Option<Account>> {
    sqlx::query_as!(
        Account,
        "SELECT id, password_hash
        FROM users
        WHERE lower(name) = lower($1) AND disabled_at IS NULL",
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
            is_admin = true,
            disabled_at = NULL
        RETURNING id",
        UserId::generate().0,
        name,
        password_hash,
    )
    .fetch_one(db)
    .await?;
    Ok(UserId(id))
}
