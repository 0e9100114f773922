//! Reading collections.

use chrono::{DateTime, Utc};
use cooperage_protocol::admin::Collection;
use cooperage_protocol::{BuildState, CollectionId, CollectionName};
use sqlx::PgPool;
use sqlx::types::Json;

use super::{Sight, Window};

/// A collection and what its page says of it.
#[derive(Debug)]
pub struct CollectionRow {
    /// Its id.
    pub id: CollectionId,
    /// Its name in its owner's spelling.
    pub name: String,
    /// Where it is cloned from.
    pub clone_url: String,
    /// Which forge sends its webhooks.
    pub forge: String,
    /// Which grammar its definitions are read with.
    pub mode: String,
    /// Whether its builds may take what scripts and files made before.
    pub step_cache: String,
    /// Who sees it without a role in it.
    pub visibility: String,
    /// Its tags, in order.
    pub tags: Vec<String>,
    /// When its newest image was published.
    pub updated_at: Option<DateTime<Utc>>,
    /// The state of its newest build.
    pub state: Option<Json<BuildState>>,
    /// How often its images were pulled, also those that are gone.
    pub pulls: i64,
}

/// What the settings of a collection show besides.
#[derive(Debug)]
pub struct SettingsRow {
    /// How many of its builds may run at the same time.
    pub max_running: i32,
    /// The branch whose images have plain tags, once it is known.
    pub default_branch: Option<String>,
    /// The repository's id at the forge, once it is known.
    pub forge_repository_id: Option<i64>,
    /// When it was connected.
    pub created_at: DateTime<Utc>,
    /// When the forge last sent something.
    pub heard_at: Option<DateTime<Utc>>,
}

/// The settings of a collection.
pub async fn settings(db: &PgPool, id: CollectionId) -> sqlx::Result<SettingsRow> {
    sqlx::query_as!(
        SettingsRow,
        "SELECT max_running, default_branch, forge_repository_id, created_at,
            (
                SELECT max(received_at)
                FROM deliveries
                WHERE collection_id = collections.id
            ) AS heard_at
        FROM collections
        WHERE id = $1",
        id.0,
    )
    .fetch_one(db)
    .await
}

/// Collections in sight whose name contains `text`, those with the newest images first.
pub async fn collections(
    db: &PgPool,
    text: &str,
    sight: Sight,
    window: Window,
) -> sqlx::Result<Vec<CollectionRow>> {
    select_collections(db, Named::Containing(text), sight, window).await
}

/// The collection of this name, whatever its capitals.
pub async fn collection(db: &PgPool, name: &CollectionName) -> sqlx::Result<Option<CollectionRow>> {
    Ok(
        select_collections(db, Named::Exactly(name), Sight::EVERYTHING, Window::ALL)
            .await?
            .pop(),
    )
}

/// Which names are looked for.
enum Named<'a> {
    Containing(&'a str),
    Exactly(&'a CollectionName),
}

async fn select_collections(
    db: &PgPool,
    named: Named<'_>,
    sight: Sight,
    window: Window,
) -> sqlx::Result<Vec<CollectionRow>> {
    let (text, name) = match named {
        Named::Containing(text) => (Some(text), None),
        Named::Exactly(name) => (None, Some(name.to_string())),
    };
    sqlx::query_as!(
        CollectionRow,
        r#"SELECT collections.id, collections.name, clone_url, forge, mode, step_cache, visibility,
            ARRAY(
                SELECT tags.name
                FROM tags
                WHERE tags.collection_id = collections.id AND tags.image_id IS NOT NULL
                ORDER BY tags.name <> 'latest', tags.name
            ) AS "tags!",
            (
                SELECT max(images.created_at)
                FROM images
                WHERE images.collection_id = collections.id
            ) AS updated_at,
            (
                SELECT to_jsonb(builds.state)
                FROM builds
                WHERE builds.collection_id = collections.id
                ORDER BY queued_at DESC
                LIMIT 1
            ) AS "state: Json<BuildState>",
            (
                SELECT COALESCE(sum(count), 0)::bigint
                FROM pulls
                WHERE pulls.collection_id = collections.id
            ) AS "pulls!"
        FROM collections
        WHERE ($1::text IS NULL OR strpos(lower(name), lower($1)) > 0)
            AND ($2::text IS NULL OR lower(name) = lower($2))
            AND is_seen(collections.id, visibility, $3, $4)
        ORDER BY updated_at DESC NULLS LAST, lower(name)
        LIMIT $5 OFFSET $6"#,
        text,
        name,
        sight.person(),
        sight.everything,
        window.limit,
        window.offset,
    )
    .fetch_all(db)
    .await
}

impl From<CollectionRow> for Option<Collection> {
    fn from(row: CollectionRow) -> Self {
        Some(Collection {
            name: row.name.parse().ok()?,
            clone_url: row.clone_url,
            mode: row.mode.parse().ok()?,
            step_cache: row.step_cache.parse().ok()?,
            visibility: row.visibility.parse().ok()?,
            tags: row.tags.iter().filter_map(|tag| tag.parse().ok()).collect(),
            updated_at: row.updated_at,
            pulls: row.pulls.try_into().ok()?,
        })
    }
}
