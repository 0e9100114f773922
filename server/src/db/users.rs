//! Accounts.

use cooperage_protocol::accounts::{NewUser, User, UserChange};
use cooperage_protocol::{AccountName, UserId};
use sqlx::{PgConnection, PgExecutor, PgPool};

/// Who is to be let in, and against what the password is checked.
#[derive(Debug)]
pub(crate) struct Account {
    /// The account.
    pub(crate) id: UserId,
    /// Its password as Argon2 wrote it (PHC string); none when it cannot log in by one.
    pub(crate) password_hash: Option<String>,
}

/// Finds an account that is not disabled by name, whatever its capitals.
pub(crate) async fn find(db: &PgPool, name: &str) -> sqlx::Result<Option<Account>> {
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

/// An account that is not disabled.
#[derive(Debug)]
pub(crate) struct Active {
    /// Its name.
    pub(crate) name: String,
    /// Whether it is an administrator's.
    pub(crate) is_admin: bool,
}

/// Finds an account that is not disabled by its id.
pub(crate) async fn find_by_id(db: &PgPool, id: UserId) -> sqlx::Result<Option<Active>> {
    sqlx::query_as!(
        Active,
        "SELECT name, is_admin FROM users WHERE id = $1 AND disabled_at IS NULL",
        id.0,
    )
    .fetch_optional(db)
    .await
}

/// Makes an administrator, or gives an existing account this password.
pub(crate) async fn put_admin(
    db: &PgPool,
    name: &str,
    password_hash: &str,
) -> sqlx::Result<UserId> {
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

/// Makes an account without a password; nothing when the name is taken.
pub(crate) async fn insert(db: impl PgExecutor<'_>, new: &NewUser) -> sqlx::Result<Option<UserId>> {
    let id = sqlx::query_scalar!(
        "INSERT INTO users (id, name, is_admin)
        VALUES ($1, $2, $3)
        ON CONFLICT (lower(name)) DO NOTHING
        RETURNING id",
        UserId::generate().0,
        new.name.as_str(),
        new.is_admin,
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(UserId))
}

/// All accounts, by name.
pub(crate) async fn list(db: &PgPool) -> sqlx::Result<Vec<User>> {
    sqlx::query_as!(
        User,
        r#"SELECT name, is_admin, disabled_at IS NOT NULL AS "is_disabled!",
            EXISTS (
                SELECT 1 FROM invitations WHERE user_id = users.id AND expires_at > now()
            ) AS "is_invited!",
            created_at
        FROM users
        ORDER BY lower(name)"#,
    )
    .fetch_all(db)
    .await
}

/// Changes an account; gives its id, or nothing when there is none of this name.
pub(crate) async fn change(
    db: &mut PgConnection,
    name: &AccountName,
    change: &UserChange,
) -> sqlx::Result<Option<UserId>> {
    let id = sqlx::query_scalar!(
        "UPDATE users
        SET is_admin = COALESCE($2, is_admin),
            disabled_at = CASE $3::boolean
                WHEN true THEN COALESCE(disabled_at, now())
                WHEN false THEN NULL
                ELSE disabled_at
            END
        WHERE lower(name) = lower($1)
        RETURNING id",
        name.as_str(),
        change.is_admin,
        change.is_disabled,
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(UserId))
}

/// Whether somebody is left who runs the hub; nobody else can change that until the end of the
/// transaction.
pub(crate) async fn is_run(db: &mut PgConnection) -> sqlx::Result<bool> {
    let admins = sqlx::query_scalar!(
        "SELECT id FROM users WHERE is_admin AND disabled_at IS NULL FOR UPDATE",
    )
    .fetch_all(db)
    .await?;
    Ok(!admins.is_empty())
}

/// The password of an account, as Argon2 wrote it.
pub(crate) async fn password_hash(db: &PgPool, id: UserId) -> sqlx::Result<Option<String>> {
    let found = sqlx::query_scalar!("SELECT password_hash FROM users WHERE id = $1", id.0)
        .fetch_optional(db)
        .await?;
    Ok(found.flatten())
}

/// Gives an account a password.
pub(crate) async fn set_password(
    db: &mut PgConnection,
    id: UserId,
    password_hash: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users SET password_hash = $2 WHERE id = $1",
        id.0,
        password_hash,
    )
    .execute(db)
    .await?;
    Ok(())
}
