//! Which webhooks came, and what became of them?

use chrono::{DateTime, Utc};
use cooperage_protocol::{CollectionId, DeliveryId};
use sqlx::{PgConnection, PgPool};

/// How many refused deliveries of a collection are kept for its owner to see.
const KEPT_REJECTIONS: i64 = 20;

/// A webhook whose signature is right.
#[derive(Debug, Clone)]
pub struct NewDelivery<'a> {
    /// The collection whose secret signed it.
    pub collection: CollectionId,
    /// The forge that sent it.
    pub forge: &'a str,
    /// The forge's id of it; the same when it is sent again.
    pub forge_id: &'a str,
    /// The forge's name of the event.
    pub event: &'a str,
    /// The body as it came.
    pub payload: &'a [u8],
    /// What the body is.
    pub content_type: &'a str,
    /// The verdict, and why, when there is nothing to do about it.
    pub verdict: Option<(&'a str, Option<&'a str>)>,
}

/// How a delivery was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is work for the hub, or was nothing to do from the start.
    Accepted(DeliveryId),
    /// It had been processed before, successfully: no new work.
    AlreadyDone(DeliveryId),
}

/// A delivery to process now.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its id.
    pub id: DeliveryId,
    /// The collection it belongs to.
    pub collection: CollectionId,
    /// The forge that sent it.
    pub forge: String,
    /// The forge's name of the event.
    pub event: String,
    /// The body as it came.
    pub payload: Vec<u8>,
    /// What the body is.
    pub content_type: String,
    /// Which attempt this is, from 1; it fences the attempts before.
    pub attempt: i32,
    /// When it first came.
    pub received_at: DateTime<Utc>,
}

/// Stores a delivery in one statement, and wakes whoever processes it.
///
/// The same id again is new work only when the first one failed.
pub async fn record(db: &PgPool, new: &NewDelivery<'_>) -> sqlx::Result<Recorded> {
    let id = DeliveryId::generate();
    let (verdict, reason) = new
        .verdict
        .map_or((None, None), |(word, why)| (Some(word), why));
    let row = sqlx::query!(
        r#"WITH stored AS (
             INSERT INTO deliveries AS d (id, collection_id, forge, forge_id, event, payload,
                                          content_type, verdict, reason, state, processed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
                     CASE WHEN $8::text IS NULL THEN 'received' ELSE 'done' END::delivery_state,
                     CASE WHEN $8::text IS NULL THEN NULL ELSE now() END)
             ON CONFLICT (collection_id, forge, forge_id) WHERE state <> 'rejected'
             DO UPDATE SET
                 redeliveries = d.redeliveries + 1,
                 state = CASE d.state WHEN 'failed' THEN 'received' ELSE d.state END,
                 attempts = CASE d.state WHEN 'failed' THEN 0 ELSE d.attempts END,
                 retry_at = CASE d.state WHEN 'failed' THEN now() ELSE d.retry_at END,
                 verdict = CASE d.state WHEN 'failed' THEN NULL ELSE d.verdict END,
                 reason = CASE d.state WHEN 'failed' THEN NULL ELSE d.reason END,
                 processed_at = CASE d.state WHEN 'failed' THEN NULL ELSE d.processed_at END
             RETURNING id, state
         )
         SELECT id, state = 'done' AS "done!", pg_notify('delivery', id::text)::text AS notified
         FROM stored"#,
        id.0,
        new.collection.0,
        new.forge,
        new.forge_id,
        new.event,
        new.payload,
        new.content_type,
        verdict,
        reason,
    )
    .fetch_one(db)
    .await?;
    let recorded = DeliveryId(row.id);
    if row.done && recorded != id {
        return Ok(Recorded::AlreadyDone(recorded));
    }
    Ok(Recorded::Accepted(recorded))
}

/// Keeps a trace, without payload, of a delivery whose signature was wrong.
pub async fn reject(db: &PgPool, new: &NewDelivery<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO deliveries (id, collection_id, forge, forge_id, event, payload, content_type,
                                 state, verdict, reason, processed_at)
         VALUES ($1, $2, $3, $4, $5, '', $6, 'rejected', 'rejected',
                 'the signature does not match the secret of this collection', now())",
        DeliveryId::generate().0,
        new.collection.0,
        new.forge,
        new.forge_id,
        new.event,
        new.content_type,
    )
    .execute(db)
    .await?;
    sqlx::query!(
        "DELETE FROM deliveries
         WHERE id IN (
             SELECT id
             FROM deliveries
             WHERE collection_id = $1 AND state = 'rejected'
             ORDER BY received_at DESC, id DESC
             OFFSET $2
         )",
        new.collection.0,
        KEPT_REJECTIONS,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes the oldest delivery that is due, for `lease_seconds`.
///
/// Deliveries of one collection are processed one after the other, in the order they came, so
/// that an older push can never supersede a later one.
pub async fn claim(db: &PgPool, lease_seconds: f64) -> sqlx::Result<Option<Claimed>> {
    let row = sqlx::query!(
        "WITH next AS (
             SELECT id
             FROM deliveries AS d
             WHERE state IN ('received', 'processing')
               AND retry_at <= now()
               AND NOT EXISTS (
                   SELECT 1
                   FROM deliveries AS earlier
                   WHERE earlier.collection_id = d.collection_id
                     AND earlier.state IN ('received', 'processing')
                     AND (earlier.received_at, earlier.id) < (d.received_at, d.id)
               )
             ORDER BY received_at, id
             LIMIT 1
             FOR UPDATE SKIP LOCKED
         )
         UPDATE deliveries AS d
         SET state = 'processing',
             attempts = attempts + 1,
             retry_at = now() + make_interval(secs => $1)
         FROM next
         WHERE d.id = next.id
         RETURNING d.id, d.collection_id, d.forge, d.event, d.payload, d.content_type,
                   d.attempts, d.received_at",
        lease_seconds,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Claimed {
        id: row.id.into(),
        collection: row.collection_id.into(),
        forge: row.forge,
        event: row.event,
        payload: row.payload,
        content_type: row.content_type,
        attempt: row.attempts,
        received_at: row.received_at,
    }))
}

/// Ends a delivery as done; false when this attempt has been fenced off by a later one.
pub async fn complete(
    db: &mut PgConnection,
    claimed: &Claimed,
    verdict: &str,
    reason: Option<&str>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE deliveries
         SET state = 'done', verdict = $3, reason = $4, processed_at = now()
         WHERE id = $1 AND attempts = $2 AND state = 'processing'",
        claimed.id.0,
        claimed.attempt,
        verdict,
        reason,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a delivery as failed: sent again, it is new work.
pub async fn fail(db: &PgPool, claimed: &Claimed, reason: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE deliveries
         SET state = 'failed', verdict = 'failed', reason = $3, processed_at = now()
         WHERE id = $1 AND attempts = $2 AND state = 'processing'",
        claimed.id.0,
        claimed.attempt,
        reason,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Leaves a delivery for another attempt.
pub async fn retry_later(
    db: &PgPool,
    claimed: &Claimed,
    seconds: f64,
    reason: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE deliveries
         SET state = 'received', reason = $3, retry_at = now() + make_interval(secs => $4)
         WHERE id = $1 AND attempts = $2 AND state = 'processing'",
        claimed.id.0,
        claimed.attempt,
        reason,
        seconds,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes a delivery that has ended work again; false when it has not ended, was rejected, or
/// does not exist.
pub async fn replay(db: &PgPool, id: DeliveryId) -> sqlx::Result<bool> {
    let replayed = sqlx::query_scalar!(
        "WITH replayed AS (
             UPDATE deliveries
             SET state = 'received', verdict = NULL, reason = NULL, processed_at = NULL,
                 attempts = 0, retry_at = now(), redeliveries = redeliveries + 1
             WHERE id = $1 AND state IN ('done', 'failed')
             RETURNING id
         )
         SELECT pg_notify('delivery', id::text)::text FROM replayed",
        id.0,
    )
    .fetch_optional(db)
    .await?;
    Ok(replayed.is_some())
}

/// Whether there is such a delivery.
pub async fn exists(db: &PgPool, id: DeliveryId) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!("SELECT id FROM deliveries WHERE id = $1", id.0)
        .fetch_optional(db)
        .await?;
    Ok(found.is_some())
}

/// Returns to the queue what a hub that is gone was processing.
pub async fn rescue(db: &PgPool) -> sqlx::Result<u64> {
    let rescued = sqlx::query!(
        "UPDATE deliveries SET state = 'received', retry_at = now() WHERE state = 'processing'"
    )
    .execute(db)
    .await?;
    Ok(rescued.rows_affected())
}
