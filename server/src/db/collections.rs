//! Which git repositories are connected?

use std::num::NonZeroU16;

use cooperage_protocol::admin::CollectionChange;
use cooperage_protocol::{CollectionId, CollectionName, Mode, StepCache, UserId, Visibility};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::forge::Repository;

/// A connected repository, as much of it as fetching and scanning need.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Its id.
    pub id: CollectionId,
    /// Its name in the owner's spelling.
    pub name: String,
    /// Where it is cloned from.
    pub clone_url: String,
    /// The branch whose images have plain tags, once it is known.
    pub default_branch: Option<String>,
    /// The key of its webhooks' signatures.
    pub webhook_secret: String,
}

/// A repository to connect.
#[derive(Debug, Clone)]
pub struct NewCollection<'a> {
    /// The name it will have.
    pub name: &'a CollectionName,
    /// Where to clone from.
    pub clone_url: &'a str,
    /// The key of its webhooks' signatures.
    pub webhook_secret: &'a str,
    /// How many of its builds may run at the same time; the default when absent.
    pub max_running: Option<NonZeroU16>,
    /// Which grammar its definitions are read with.
    pub mode: Mode,
    /// Whether its builds may take what scripts and files made before.
    pub step_cache: StepCache,
}

struct Row {
    id: Uuid,
    name: String,
    clone_url: String,
    default_branch: Option<String>,
    webhook_secret: String,
}

impl From<Row> for Collection {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            clone_url: row.clone_url,
            default_branch: row.default_branch,
            webhook_secret: row.webhook_secret,
        }
    }
}

/// Connects a repository; nothing when the name is taken.
pub async fn insert(db: &PgPool, new: &NewCollection<'_>) -> sqlx::Result<Option<CollectionId>> {
    let id = sqlx::query_scalar!(
        "INSERT INTO collections (id, name, clone_url, forge, webhook_secret, max_running, mode,
                                  step_cache)
         VALUES ($1, $2, $3, 'github', $4, COALESCE($5, 2), $6, $7)
         ON CONFLICT (lower(name)) DO NOTHING
         RETURNING id",
        CollectionId::generate().0,
        new.name.to_string(),
        new.clone_url,
        new.webhook_secret,
        new.max_running.map(|most| i32::from(most.get())),
        new.mode.as_str(),
        new.step_cache.as_str(),
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(CollectionId))
}

/// The collection of somebody's remote builds, if it was made.
pub(crate) async fn of_remote_builds(
    db: &PgPool,
    account: UserId,
) -> sqlx::Result<Option<CollectionId>> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM collections WHERE remote_builds_of = $1",
        account.0
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(CollectionId))
}

/// Makes the collection of somebody's remote builds, which nobody else sees, unless it was made
/// meanwhile; false when its name is taken.
pub(crate) async fn insert_for_remote_builds(
    db: &mut PgConnection,
    name: &CollectionName,
    account: UserId,
    webhook_secret: &str,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "WITH made AS (
             INSERT INTO collections (id, name, clone_url, forge, webhook_secret, visibility,
                                      remote_builds_of)
             VALUES ($1, $2, '', 'github', $4, 'private', $3)
             ON CONFLICT DO NOTHING
             RETURNING id
         )
         INSERT INTO collection_members (collection_id, user_id, role)
         SELECT id, $3, 'owner' FROM made",
        CollectionId::generate().0,
        name.to_string(),
        account.0,
        webhook_secret,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM collections WHERE remote_builds_of = $1) AS "is!""#,
        account.0
    )
    .fetch_one(db)
    .await
}

/// Keeps other deliveries of a collection from planning builds until the transaction ends.
pub async fn lock(db: &mut PgConnection, id: CollectionId) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT id FROM collections WHERE id = $1 FOR NO KEY UPDATE",
        id.0
    )
    .fetch_optional(db)
    .await?;
    Ok(())
}

/// The collection of this name, in whatever capitals.
pub async fn by_name(db: &PgPool, name: &CollectionName) -> sqlx::Result<Option<Collection>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, name, clone_url, default_branch, webhook_secret
         FROM collections
         WHERE lower(name) = lower($1)",
        name.to_string(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Collection::from))
}

/// The collection of this id.
pub async fn by_id(db: &PgPool, id: CollectionId) -> sqlx::Result<Option<Collection>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, name, clone_url, default_branch, webhook_secret
         FROM collections
         WHERE id = $1",
        id.0,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Collection::from))
}

/// The collections that a webhook about `repository` may belong to; its signature decides.
///
/// The forge's own id comes first: it outlives renames.
pub async fn candidates(
    db: &PgPool,
    forge: &str,
    repository: &Repository,
) -> sqlx::Result<Vec<Collection>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, name, clone_url, default_branch, webhook_secret
         FROM collections
         WHERE forge = $1
           AND (forge_repository_id = $2 OR address = ANY($3) OR lower(name) = lower($4))
         ORDER BY (forge_repository_id IS NOT DISTINCT FROM $2) DESC,
                  (address = ANY($3)) DESC,
                  created_at",
        forge,
        repository.id,
        &repository.addresses[..],
        repository.full_name,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Collection::from).collect())
}

/// Remembers what a forge told about a repository.
pub async fn learn(
    db: &PgPool,
    id: CollectionId,
    forge_repository_id: Option<i64>,
    default_branch: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE collections
         SET forge_repository_id = COALESCE($2, forge_repository_id),
             default_branch = COALESCE($3, default_branch)
         WHERE id = $1",
        id.0,
        forge_repository_id,
        default_branch,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Changes settings; what is absent stays as it is.
pub async fn change(db: &PgPool, id: CollectionId, change: &CollectionChange) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE collections
         SET max_running = COALESCE($2, max_running), mode = COALESCE($3, mode),
             visibility = COALESCE($4, visibility), step_cache = COALESCE($5, step_cache)
         WHERE id = $1",
        id.0,
        change.max_running.map(|most| i32::from(most.get())),
        change.mode.map(Mode::as_str),
        change.visibility.map(Visibility::as_str),
        change.step_cache.map(StepCache::as_str),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Sets the key of the webhooks' signatures.
pub(crate) async fn put_secret(db: &PgPool, id: CollectionId, secret: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE collections SET webhook_secret = $2 WHERE id = $1",
        id.0,
        secret,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Disconnects a repository with all its deliveries, builds, images and tags.
pub async fn delete(db: &PgPool, id: CollectionId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM collections WHERE id = $1", id.0)
        .execute(db)
        .await?;
    Ok(())
}
