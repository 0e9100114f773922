//! Which builds were asked for, and where does each stand?
//!
//! [`leases`] has what workers do to them.

pub mod leases;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use cooperage_protocol::{
    BuildId, BuildState, CollectionId, DeliveryId, Failure, FailureKind, StepCache, Tag,
};
use sqlx::{PgConnection, PgExecutor, PgPool};

use crate::error::Error;

/// A build to queue.
#[derive(Debug, Clone)]
pub struct NewBuild {
    /// Its id.
    pub id: BuildId,
    /// The collection it belongs to.
    pub collection: CollectionId,
    /// The webhook that asked for it; none when a person did.
    pub delivery: Option<DeliveryId>,
    /// Path of the definition file.
    pub recipe: String,
    /// Git's id of the definition file's content.
    pub recipe_blob: String,
    /// The commit, in hex.
    pub commit: String,
    /// Committer time of the commit.
    pub commit_time: DateTime<Utc>,
    /// The branch or tag of git, in full (`refs/heads/main`).
    pub git_ref: String,
    /// The tag its image gets.
    pub tag: Tag,
    /// Further tags its image gets.
    pub aliases: Vec<Tag>,
    /// Why the tag is not simply what the recipe's name says.
    pub tag_note: Option<String>,
    /// Whether it may take what scripts and files made before, if its collection's builds may.
    pub step_cache: StepCache,
    /// Go's name of the architecture that it has to be built on, if not any.
    pub architecture: Option<String>,
}

/// The last build of a recipe on a ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastBuild {
    /// Git's id of the content it was of.
    pub recipe_blob: String,
    /// The tag it was for.
    pub tag: String,
    /// Where it stands.
    pub state: BuildState,
}

/// Queues a build in place of those of the same recipe and ref that still wait; false when its
/// delivery had queued it before.
pub async fn enqueue(db: &mut PgConnection, new: &NewBuild) -> Result<bool, Error> {
    let aliases: Vec<String> = new.aliases.iter().map(Tag::to_string).collect();
    let queued = sqlx::query!(
        "INSERT INTO builds (id, collection_id, delivery_id, recipe, recipe_blob, commit_sha,
                             commit_time, git_ref, tag, aliases, tag_note, step_cache,
                             architecture)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (delivery_id, recipe, tag) DO NOTHING",
        new.id.0,
        new.collection.0,
        new.delivery.map(|id| id.0),
        new.recipe,
        new.recipe_blob,
        new.commit,
        new.commit_time,
        new.git_ref,
        new.tag.as_str(),
        &aliases[..],
        new.tag_note,
        new.step_cache.as_str(),
        new.architecture,
    )
    .execute(&mut *db)
    .await?
    .rows_affected()
        == 1;
    if queued {
        supersede(&mut *db, new).await?;
        notify_state(&mut *db, new.id).await?;
        wake_queue(db).await?;
    }
    Ok(queued)
}

/// Queues what a build that has ended was to build once more; `false` when it has not.
pub(crate) async fn copy(db: &mut PgConnection, from: BuildId, to: BuildId) -> sqlx::Result<bool> {
    let queued = sqlx::query!(
        "INSERT INTO builds (id, collection_id, recipe, recipe_blob, commit_sha, commit_time,
                             git_ref, tag, aliases, tag_note, step_cache, architecture)
         SELECT $2, collection_id, recipe, recipe_blob, commit_sha, commit_time,
                git_ref, tag, aliases, tag_note, step_cache, architecture
         FROM builds
         WHERE id = $1 AND state IN ('succeeded', 'failed', 'cancelled')",
        from.0,
        to.0,
    )
    .execute(&mut *db)
    .await?
    .rows_affected()
        == 1;
    if queued {
        notify_state(&mut *db, to).await?;
        wake_queue(db).await?;
    }
    Ok(queued)
}

/// Wakes the workers that wait for something to do.
pub(crate) async fn wake_queue(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_notify('build_queued', '')::text AS notified")
        .fetch_one(db)
        .await?;
    Ok(())
}

async fn supersede(db: &mut PgConnection, by: &NewBuild) -> Result<(), Error> {
    let commit: String = by.commit.chars().take(12).collect();
    let failure = Failure::new(
        FailureKind::Cancelled,
        format!("superseded by build {} of commit {commit}", by.id),
    );
    sqlx::query!(
        "WITH superseded AS (
             UPDATE builds
             SET state = 'cancelled', finished_at = now(), failure = $5
             WHERE collection_id = $1 AND git_ref = $2 AND recipe = $3 AND state = 'queued'
               AND id <> $4
             RETURNING id
         )
         SELECT pg_notify('build_state', id::text)::text AS notified FROM superseded",
        by.collection.0,
        by.git_ref,
        by.recipe,
        by.id.0,
        to_json(&failure)?,
    )
    .fetch_all(db)
    .await?;
    Ok(())
}

/// Wakes those who watch a build.
pub async fn notify_state(db: &mut PgConnection, build: BuildId) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT pg_notify('build_state', $1)::text AS notified",
        build.to_string()
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// The last build of each recipe on a ref.
pub async fn last_by_recipe(
    db: impl PgExecutor<'_>,
    collection: CollectionId,
    git_ref: &str,
) -> Result<HashMap<String, LastBuild>, Error> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (recipe) recipe, recipe_blob, tag, state::text AS "state!"
           FROM builds
           WHERE collection_id = $1 AND git_ref = $2
           ORDER BY recipe, queued_at DESC, id DESC"#,
        collection.0,
        git_ref,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = parse_state(&row.state)?;
            Ok((
                row.recipe,
                LastBuild {
                    recipe_blob: row.recipe_blob,
                    tag: row.tag,
                    state,
                },
            ))
        })
        .collect()
}

/// Whether a push to `git_ref` that came after `received_at` has made builds already.
pub async fn newer_push_was_built(
    db: impl PgExecutor<'_>,
    collection: CollectionId,
    git_ref: &str,
    received_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1
               FROM builds
               JOIN deliveries ON deliveries.id = builds.delivery_id
               WHERE builds.collection_id = $1 AND builds.git_ref = $2
                 AND deliveries.received_at > $3
           ) AS "exists!""#,
        collection.0,
        git_ref,
        received_at,
    )
    .fetch_one(db)
    .await
}

/// Where a build stands, unless there is no such build.
pub async fn state(db: &PgPool, build: BuildId) -> Result<Option<BuildState>, Error> {
    let row = sqlx::query_scalar!(
        r#"SELECT state::text AS "state!" FROM builds WHERE id = $1"#,
        build.0
    )
    .fetch_optional(db)
    .await?;
    row.map(|state| parse_state(&state)).transpose()
}

/// Those of the builds that have not ended.
pub async fn unfinished(db: &PgPool, builds: &[BuildId]) -> sqlx::Result<HashSet<BuildId>> {
    let ids: Vec<_> = builds.iter().map(|build| build.0).collect();
    let unfinished = sqlx::query_scalar!(
        "SELECT id FROM builds WHERE id = ANY($1) AND state IN ('queued', 'running')",
        &ids[..],
    )
    .fetch_all(db)
    .await?;
    Ok(unfinished.into_iter().map(BuildId).collect())
}

/// Cancels a build that waits, or asks its worker to stop; false when it has ended already.
pub async fn cancel(db: &PgPool, build: BuildId, failure: &Failure) -> Result<bool, Error> {
    let cancelled = sqlx::query!(
        "WITH cancelled AS (
             UPDATE builds
             SET cancel_requested = true,
                 state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
                 finished_at = CASE state WHEN 'queued' THEN now() END,
                 failure = CASE state WHEN 'queued' THEN $2::jsonb END
             WHERE id = $1 AND state IN ('queued', 'running')
             RETURNING id
         )
         SELECT pg_notify('build_state', id::text)::text AS notified FROM cancelled",
        build.0,
        to_json(failure)?,
    )
    .fetch_optional(db)
    .await?;
    Ok(cancelled.is_some())
}

pub(crate) fn parse_state(text: &str) -> Result<BuildState, Error> {
    let value = serde_json::Value::String(text.to_owned());
    Ok(serde_json::from_value(value).map_err(anyhow::Error::from)?)
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<serde_json::Value, Error> {
    Ok(serde_json::to_value(value).map_err(anyhow::Error::from)?)
}
