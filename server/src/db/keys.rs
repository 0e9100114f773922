//! Which keys of `OpenPGP` does the hub hand out, and which one does it sign with?

use chrono::{DateTime, Utc};
use cooperage_protocol::UserId;
use sqlx::{PgConnection, PgExecutor, PgPool};

/// A key to be kept.
#[derive(Debug)]
pub(crate) struct NewKey {
    /// Its fingerprint first, then those of its subkeys.
    pub(crate) fingerprints: Vec<String>,
    /// Whose it says it is.
    pub(crate) user_ids: Vec<String>,
    /// The key as a text.
    pub(crate) armored: String,
}

/// A key that is kept.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its fingerprint, in capitals.
    pub(crate) fingerprint: String,
    /// The key as a text.
    pub(crate) armored: String,
    /// Whether the hub made it for itself.
    pub(crate) is_hubs: bool,
    /// The account that added it, if it is still there.
    pub(crate) added_by: Option<String>,
    /// When it was added or made.
    pub(crate) added_at: DateTime<Utc>,
}

/// The secret half of the hub's key, as it is stored.
#[derive(Debug)]
pub(crate) struct SealedKey {
    /// The key's fingerprint.
    pub(crate) fingerprint: String,
    /// Which key of the keyring opens it.
    pub(crate) key_id: String,
    /// The sealed secret.
    pub(crate) secret: Vec<u8>,
}

/// Keeps a key that the hub made for itself.
pub(crate) async fn insert_of_hub(db: &mut PgConnection, key: &NewKey) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO public_keys (fingerprint, fingerprints, user_ids, armored, is_hubs)
         VALUES ($1, $2, $3, $4, true)",
        key.fingerprints[0],
        &key.fingerprints,
        &key.user_ids,
        key.armored,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps a key that somebody added; false when it is here already.
pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    person: UserId,
    key: &NewKey,
) -> sqlx::Result<bool> {
    let kept = sqlx::query!(
        "INSERT INTO public_keys (fingerprint, fingerprints, user_ids, armored, added_by)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (fingerprint) DO NOTHING",
        key.fingerprints[0],
        &key.fingerprints,
        &key.user_ids,
        key.armored,
        person.0,
    )
    .execute(db)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Keeps what is known of a key by now.
pub(crate) async fn renew(db: impl PgExecutor<'_>, key: &NewKey) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE public_keys
         SET fingerprints = $2, user_ids = $3, armored = $4, added_at = now()
         WHERE fingerprint = $1",
        key.fingerprints[0],
        &key.fingerprints,
        &key.user_ids,
        key.armored,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How many keys somebody added.
pub(crate) async fn count_of(db: impl PgExecutor<'_>, person: UserId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM public_keys WHERE added_by = $1"#,
        person.0,
    )
    .fetch_one(db)
    .await
}

/// The key of this fingerprint.
pub(crate) async fn find(db: impl PgExecutor<'_>, fingerprint: &str) -> sqlx::Result<Option<Key>> {
    sqlx::query_as!(
        Key,
        r#"SELECT fingerprint, armored, is_hubs, users.name AS "added_by?", added_at
         FROM public_keys
         LEFT JOIN users ON users.id = added_by
         WHERE fingerprint = $1"#,
        fingerprint,
    )
    .fetch_optional(db)
    .await
}

/// The key of this fingerprint, which stays as it is until the transaction ends.
pub(crate) async fn lock(db: &mut PgConnection, fingerprint: &str) -> sqlx::Result<Option<Key>> {
    sqlx::query_as!(
        Key,
        r#"SELECT fingerprint, armored, is_hubs, users.name AS "added_by?", added_at
         FROM public_keys
         LEFT JOIN users ON users.id = added_by
         WHERE fingerprint = $1
         FOR UPDATE OF public_keys"#,
        fingerprint,
    )
    .fetch_optional(db)
    .await
}

/// Which keys are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Search {
    /// Those with a fingerprint, of themselves or of a subkey, that ends in these capital digits.
    Id(String),
    /// Those with a user id that is this text.
    UserId(String),
    /// Those with a user id that contains this text, in capitals or not.
    Words(String),
}

/// The keys that are looked for, the newest first, so many after the first ones.
pub(crate) async fn search(
    db: &PgPool,
    search: &Search,
    (skipped, most): (i64, i64),
) -> sqlx::Result<Vec<Key>> {
    let (id, user_id, words) = match search {
        Search::Id(id) => (Some(id), None, None),
        Search::UserId(text) => (None, Some(text), None),
        Search::Words(text) => (None, None, Some(text)),
    };
    sqlx::query_as!(
        Key,
        r#"SELECT fingerprint, armored, is_hubs, users.name AS "added_by?", added_at
         FROM public_keys
         LEFT JOIN users ON users.id = added_by
         WHERE ($1::text IS NULL OR EXISTS (
                 SELECT 1 FROM unnest(fingerprints) AS one WHERE right(one, length($1)) = $1
             ))
             AND ($2::text IS NULL OR $2 = ANY(user_ids))
             AND ($3::text IS NULL OR EXISTS (
                 SELECT 1 FROM unnest(user_ids) AS one WHERE strpos(lower(one), lower($3)) > 0
             ))
         ORDER BY added_at DESC, fingerprint
         OFFSET $4 LIMIT $5"#,
        id,
        user_id,
        words,
        skipped,
        most,
    )
    .fetch_all(db)
    .await
}

/// All keys, those of the hub first; of each, whether the hub signs with it.
pub(crate) async fn all(db: &PgPool) -> sqlx::Result<Vec<(Key, bool)>> {
    let rows = sqlx::query!(
        r#"SELECT public_keys.fingerprint, armored, is_hubs, users.name AS "added_by?", added_at,
             signing_key.fingerprint IS NOT NULL AS "signs!"
         FROM public_keys
         LEFT JOIN users ON users.id = added_by
         LEFT JOIN signing_key ON signing_key.fingerprint = public_keys.fingerprint
         ORDER BY is_hubs DESC, added_at DESC, public_keys.fingerprint"#
    )
    .fetch_all(db)
    .await?;
    let keys = rows.into_iter().map(|row| {
        let key = Key {
            fingerprint: row.fingerprint,
            armored: row.armored,
            is_hubs: row.is_hubs,
            added_by: row.added_by,
            added_at: row.added_at,
        };
        (key, row.signs)
    });
    Ok(keys.collect())
}

/// Forgets a key that somebody added; false when there is none.
pub(crate) async fn delete(db: &PgPool, fingerprint: &str) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "DELETE FROM public_keys WHERE fingerprint = $1 AND NOT is_hubs",
        fingerprint,
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// The key that the hub signs with.
pub(crate) async fn signing_key(db: impl PgExecutor<'_>) -> sqlx::Result<Option<SealedKey>> {
    sqlx::query_as!(
        SealedKey,
        "SELECT fingerprint, key_id, secret FROM signing_key"
    )
    .fetch_optional(db)
    .await
}

/// Keeps other hubs from making or changing the key until the transaction ends.
pub(crate) async fn lock_signing_key(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("LOCK TABLE signing_key IN EXCLUSIVE MODE")
        .execute(db)
        .await?;
    Ok(())
}

/// Signs with this key from now on; the secret half of the one before is forgotten.
pub(crate) async fn sign_with(db: &mut PgConnection, key: &SealedKey) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO signing_key (fingerprint, key_id, secret)
         VALUES ($1, $2, $3)
         ON CONFLICT (is_only_one) DO UPDATE
         SET fingerprint = EXCLUDED.fingerprint, key_id = EXCLUDED.key_id,
             secret = EXCLUDED.secret",
        key.fingerprint,
        key.key_id,
        key.secret,
    )
    .execute(db)
    .await?;
    Ok(())
}
