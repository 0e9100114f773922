//! Who has which build, and for how long?
//!
//! Every claim raises `attempt`; every later call names it, so that a worker which was thought
//! dead cannot touch what another one builds now.

use chrono::{DateTime, Utc};
use cooperage_protocol::{
    BuildId, BuildState, CollectionId, Diagnostic, Failure, FailureKind, WorkerId,
};
use sqlx::{PgConnection, PgPool};

use super::{parse_state, to_json, wake_queue};
use crate::error::Error;

/// Claims are made one after the other, so that the limit of a collection holds exactly.
const CLAIM_LOCK: i64 = 0x0063_6c61_696d;

/// What a worker names in every call about a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The build.
    pub build: BuildId,
    /// The attempt it was given.
    pub attempt: i32,
    /// The worker.
    pub worker: WorkerId,
}

/// A build that was just leased.
#[derive(Debug, Clone)]
pub struct Leased {
    /// The build.
    pub build: BuildId,
    /// The attempt.
    pub attempt: i32,
    /// The collection.
    pub collection_id: CollectionId,
    /// Name of the collection.
    pub collection: String,
    /// Which grammar its definitions are read with.
    pub mode: String,
    /// Whether it may take what scripts and files made before: where build and collection agree.
    pub step_cache: String,
    /// The tag its image gets.
    pub tag: String,
    /// The commit, in hex.
    pub commit: String,
    /// Committer time of the commit.
    pub commit_time: DateTime<Utc>,
    /// Path of the definition file.
    pub recipe: String,
}

/// What an attempt is about.
#[derive(Debug, Clone)]
pub struct Held {
    /// The collection.
    pub collection: CollectionId,
    /// The commit, in hex.
    pub commit: String,
    /// The branch or tag of git, in full.
    pub git_ref: String,
}

/// A build whose row is locked for its end.
#[derive(Debug, Clone)]
pub struct Locked {
    /// The collection.
    pub collection: CollectionId,
    /// Where it stands.
    pub state: BuildState,
    /// The tags its image gets.
    pub tags: Vec<String>,
    /// When it was asked for.
    pub queued_at: DateTime<Utc>,
    /// Somebody wants it to stop.
    pub cancel_requested: bool,
}

/// Leases the next build that the worker's machine can do: of the collection with fewest running
/// ones, then the oldest.
pub async fn claim(
    db: &PgPool,
    worker: WorkerId,
    lease_seconds: f64,
) -> sqlx::Result<Option<Leased>> {
    let mut tx = db.begin().await?;
    keep_others_out(&mut tx).await?;
    let row = sqlx::query!(
        "WITH running AS (
               SELECT collection_id, count(*) AS builds
               FROM builds
               WHERE state = 'running'
               GROUP BY collection_id
           ), next AS (
               SELECT builds.id
               FROM builds
               JOIN collections ON collections.id = builds.collection_id
               LEFT JOIN running ON running.collection_id = builds.collection_id
               WHERE builds.state = 'queued'
                 AND COALESCE(running.builds, 0) < collections.max_running
                 AND (builds.architecture IS NULL
                      OR builds.architecture = (SELECT architecture FROM workers WHERE id = $1))
               ORDER BY COALESCE(running.builds, 0), builds.queued_at, builds.id
               LIMIT 1
               FOR UPDATE OF builds SKIP LOCKED
           )
           UPDATE builds
           SET state = 'running',
               worker_id = $1,
               attempt = attempt + 1,
               diagnostics = '[]',
               started_at = now(),
               lease_until = now() + make_interval(secs => $2)
           FROM next, collections
           WHERE builds.id = next.id AND collections.id = builds.collection_id
           RETURNING builds.id, builds.attempt, builds.collection_id, collections.name,
                     collections.mode, builds.tag, builds.commit_sha, builds.commit_time,
                     builds.recipe,
                     CASE builds.step_cache WHEN 'on' THEN collections.step_cache
                                            ELSE builds.step_cache END AS \"step_cache!\"",
        worker.0,
        lease_seconds,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let leased = row.map(|row| Leased {
        build: row.id.into(),
        attempt: row.attempt,
        collection_id: row.collection_id.into(),
        collection: row.name,
        mode: row.mode,
        step_cache: row.step_cache,
        tag: row.tag,
        commit: row.commit_sha,
        commit_time: row.commit_time,
        recipe: row.recipe,
    });
    if let Some(leased) = &leased {
        super::notify_state(&mut tx, leased.build).await?;
    }
    tx.commit().await?;
    Ok(leased)
}

async fn keep_others_out(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock($1)::text AS locked",
        CLAIM_LOCK
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Renews a lease and tells whether the build should stop; nothing when it is lost.
pub async fn renew(db: &PgPool, holder: Holder, lease_seconds: f64) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        "UPDATE builds
         SET lease_until = now() + make_interval(secs => $4)
         WHERE id = $1 AND attempt = $2 AND worker_id = $3 AND state = 'running'
         RETURNING cancel_requested",
        holder.build.0,
        holder.attempt,
        holder.worker.0,
        lease_seconds,
    )
    .fetch_optional(db)
    .await
}

/// What the attempt is about; nothing when its lease is lost.
pub async fn held(db: &PgPool, holder: Holder) -> sqlx::Result<Option<Held>> {
    let row = sqlx::query!(
        "SELECT collection_id, commit_sha, git_ref
         FROM builds
         WHERE id = $1 AND attempt = $2 AND worker_id = $3 AND state = 'running'",
        holder.build.0,
        holder.attempt,
        holder.worker.0,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Held {
        collection: row.collection_id.into(),
        commit: row.commit_sha,
        git_ref: row.git_ref,
    }))
}

/// Keeps what an attempt tells of its definition; false when its lease is lost.
pub async fn diagnose(
    db: &mut PgConnection,
    holder: Holder,
    diagnostics: &[Diagnostic],
) -> Result<bool, Error> {
    let stored = sqlx::query!(
        "UPDATE builds
         SET diagnostics = $4
         WHERE id = $1 AND attempt = $2 AND worker_id = $3 AND state = 'running'",
        holder.build.0,
        holder.attempt,
        holder.worker.0,
        to_json(&diagnostics)?,
    )
    .execute(&mut *db)
    .await?;
    if stored.rows_affected() == 0 {
        return Ok(false);
    }
    super::notify_state(db, holder.build).await?;
    Ok(true)
}

/// Locks the row of a build whose last attempt is the holder's, in whatever state.
pub async fn lock(db: &mut PgConnection, holder: Holder) -> Result<Option<Locked>, Error> {
    let row = sqlx::query!(
        r#"SELECT collection_id, state::text AS "state!", tag, aliases, queued_at, cancel_requested
           FROM builds
           WHERE id = $1 AND attempt = $2 AND worker_id = $3
           FOR UPDATE"#,
        holder.build.0,
        holder.attempt,
        holder.worker.0,
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mut tags = vec![row.tag];
    tags.extend(row.aliases);
    Ok(Some(Locked {
        collection: row.collection_id.into(),
        state: parse_state(&row.state)?,
        tags,
        queued_at: row.queued_at,
        cancel_requested: row.cancel_requested,
    }))
}

/// Ends a build with its image.
pub async fn succeed(db: &mut PgConnection, build: BuildId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE builds
         SET state = 'succeeded', lease_until = NULL, finished_at = now()
         WHERE id = $1",
        build.0,
    )
    .execute(&mut *db)
    .await?;
    end(db, build).await
}

/// Ends a build without an image: cancelled if that is why, failed otherwise.
pub async fn fail(db: &mut PgConnection, build: BuildId, failure: &Failure) -> Result<(), Error> {
    let state = match failure.kind {
        FailureKind::Cancelled => BuildState::Cancelled,
        _ => BuildState::Failed,
    };
    sqlx::query!(
        "UPDATE builds
         SET state = $2::text::build_state, lease_until = NULL, finished_at = now(), failure = $3
         WHERE id = $1",
        build.0,
        state.as_str(),
        to_json(failure)?,
    )
    .execute(&mut *db)
    .await?;
    Ok(end(db, build).await?)
}

async fn end(db: &mut PgConnection, build: BuildId) -> sqlx::Result<()> {
    crate::db::phases::close(&mut *db, build).await?;
    wake_queue(&mut *db).await?;
    super::notify_state(db, build).await
}

/// Queues a build again that its worker hands back; this attempt will not count.
pub async fn release(db: &mut PgConnection, build: BuildId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE builds
         SET state = 'queued', lease_until = NULL, worker_id = NULL, started_at = NULL,
             released = released + 1
         WHERE id = $1",
        build.0,
    )
    .execute(&mut *db)
    .await?;
    end(db, build).await
}

/// Takes back every build whose lease has expired, and gives those whose attempts are used up
/// `worker_lost`, those that were to stop `cancelled`. Tells how many there were.
pub async fn reap(
    db: &PgPool,
    attempts: i32,
    worker_lost: &Failure,
    cancelled: &Failure,
) -> Result<usize, Error> {
    let mut tx = db.begin().await?;
    let reaped = sqlx::query_scalar!(
        "WITH expired AS (
             SELECT id,
                    CASE WHEN cancel_requested THEN 'cancelled'
                         WHEN attempt - released >= $1 THEN 'failed'
                         ELSE 'queued' END::build_state AS next_state
             FROM builds
             WHERE state = 'running' AND lease_until < now()
             FOR UPDATE SKIP LOCKED
         )
         UPDATE builds
         SET state = next_state,
             lease_until = NULL,
             worker_id = CASE next_state WHEN 'queued' THEN NULL ELSE worker_id END,
             finished_at = CASE next_state WHEN 'queued' THEN NULL ELSE now() END,
             failure = CASE next_state WHEN 'cancelled' THEN $3::jsonb
                                       WHEN 'failed' THEN $2::jsonb END
         FROM expired
         WHERE builds.id = expired.id
         RETURNING builds.id",
        attempts,
        to_json(worker_lost)?,
        to_json(cancelled)?,
    )
    .fetch_all(&mut *tx)
    .await?;
    for id in &reaped {
        end(&mut tx, BuildId(*id)).await?;
    }
    tx.commit().await?;
    Ok(reaped.len())
}
