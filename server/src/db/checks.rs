//! Which images were checked for, and what came of it?

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use cooperage_protocol::check::{Progress, Step};
use cooperage_protocol::{CheckId, CollectionId, RegistryCheck, WorkerId};
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

use super::builds::wake_queue;
use crate::error::Error;

/// Checks of a collection that are kept; older ones go when another is asked for.
const MOST_KEPT: i64 = 20;

struct Row {
    id: Uuid,
    uri: String,
    state: String,
    steps: Option<Json<Vec<Step>>>,
    reason: Option<String>,
    asked_at: DateTime<Utc>,
}

/// A check that was just leased.
#[derive(Debug)]
pub(crate) struct Leased {
    /// The check.
    pub(crate) id: Uuid,
    /// The image.
    pub(crate) uri: String,
    /// The collection.
    pub(crate) collection_id: Uuid,
    /// Name of the collection.
    pub(crate) collection: String,
}

/// Queues a check and wakes the workers.
pub(crate) async fn insert(db: &PgPool, of: CollectionId, uri: &str) -> sqlx::Result<CheckId> {
    let id = CheckId::generate();
    let mut tx = db.begin().await?;
    sqlx::query!(
        "INSERT INTO registry_checks (id, collection_id, uri) VALUES ($1, $2, $3)",
        id.0,
        of.0,
        uri,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "DELETE FROM registry_checks
         WHERE id IN (
             SELECT id
             FROM registry_checks
             WHERE collection_id = $1
             ORDER BY asked_at DESC, id DESC
             OFFSET $2
         )",
        of.0,
        MOST_KEPT,
    )
    .execute(&mut *tx)
    .await?;
    wake_queue(&mut tx).await?;
    tx.commit().await?;
    Ok(id)
}

/// The newest checks of a collection, newest first.
pub(crate) async fn list(db: &PgPool, of: CollectionId) -> Result<Vec<RegistryCheck>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, uri, state, steps AS "steps: Json<Vec<Step>>", reason, asked_at
           FROM registry_checks
           WHERE collection_id = $1
           ORDER BY asked_at DESC, id DESC"#,
        of.0,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(RegistryCheck::try_from).collect()
}

/// A check of a collection.
pub(crate) async fn find(
    db: &PgPool,
    of: CollectionId,
    id: CheckId,
) -> Result<Option<RegistryCheck>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, uri, state, steps AS "steps: Json<Vec<Step>>", reason, asked_at
           FROM registry_checks
           WHERE collection_id = $1 AND id = $2"#,
        of.0,
        id.0,
    )
    .fetch_optional(db)
    .await?;
    row.map(RegistryCheck::try_from).transpose()
}

/// Gives the oldest check that waits to a worker.
pub(crate) async fn claim(
    db: &PgPool,
    worker: WorkerId,
    lease_seconds: f64,
) -> sqlx::Result<Option<Leased>> {
    sqlx::query_as!(
        Leased,
        "WITH next AS (
             SELECT id
             FROM registry_checks
             WHERE state = 'queued'
             ORDER BY asked_at, id
             LIMIT 1
             FOR UPDATE SKIP LOCKED
         )
         UPDATE registry_checks
         SET state = 'running', worker_id = $1, lease_until = now() + make_interval(secs => $2)
         FROM next, collections
         WHERE registry_checks.id = next.id AND collections.id = collection_id
         RETURNING registry_checks.id, uri, collection_id, collections.name AS collection",
        worker.0,
        lease_seconds,
    )
    .fetch_optional(db)
    .await
}

/// Notes what a worker found; false when it was not to be told by this worker any more.
pub(crate) async fn answer(
    db: &PgPool,
    id: CheckId,
    worker: WorkerId,
    steps: &[Step],
) -> sqlx::Result<bool> {
    let answered = sqlx::query!(
        "UPDATE registry_checks
         SET state = 'answered', lease_until = NULL, steps = $3
         WHERE id = $1 AND worker_id = $2 AND state = 'running' AND lease_until > now()",
        id.0,
        worker.0,
        Json(steps) as _,
    )
    .execute(db)
    .await?;
    Ok(answered.rows_affected() == 1)
}

/// Ends what no worker answered in time: `lost` when one had it, `untaken` when none did for so
/// many seconds.
pub(crate) async fn expire(
    db: &PgPool,
    lost: &str,
    untaken: &str,
    wait_seconds: f64,
) -> sqlx::Result<u64> {
    let expired = sqlx::query!(
        "UPDATE registry_checks
         SET state = 'unanswered',
             lease_until = NULL,
             reason = CASE WHEN state = 'running' THEN $1 ELSE $2 END
         WHERE (state = 'running' AND lease_until <= now())
            OR (state = 'queued' AND asked_at <= now() - make_interval(secs => $3))",
        lost,
        untaken,
        wait_seconds,
    )
    .execute(db)
    .await?;
    Ok(expired.rows_affected())
}

impl TryFrom<Row> for RegistryCheck {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let progress = match row.state.as_str() {
            "queued" => Progress::Queued,
            "running" => Progress::Running,
            "answered" => Progress::Answered {
                steps: row.steps.context("a check is answered without steps")?.0,
            },
            _ => Progress::Unanswered {
                reason: row.reason.unwrap_or_default(),
            },
        };
        Ok(Self {
            id: row.id.into(),
            uri: row.uri,
            asked_at: row.asked_at,
            progress,
        })
    }
}
