//! Reading deliveries and workers.

use chrono::{DateTime, Utc};
use cooperage_protocol::admin::Worker;
use cooperage_protocol::{BuildId, BuildState, CollectionName, DeliveryId};
use serde::Deserialize;
use sqlx::PgPool;
use sqlx::types::Json;

use super::{Sight, Window};

/// A webhook delivery in a list.
#[derive(Debug)]
pub struct DeliveryRow {
    /// Its id here.
    pub id: DeliveryId,
    /// Its id at the forge.
    pub forge_id: String,
    /// What it tells of.
    pub event: String,
    /// `received`, `processing`, `done`, `failed` or `rejected`.
    pub state: String,
    /// What came of it, in a word.
    pub verdict: Option<String>,
    /// Why, in a sentence.
    pub reason: Option<String>,
    /// How often the forge sent it again.
    pub redeliveries: i32,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// The builds it made.
    pub builds: Json<Vec<DeliveredBuild>>,
}

/// A build that a delivery made.
#[derive(Debug, Deserialize)]
pub struct DeliveredBuild {
    /// Its id.
    pub id: BuildId,
    /// The tag its image gets.
    pub tag: String,
    /// Where it stands.
    pub state: BuildState,
}

/// The newest deliveries of a collection.
pub async fn deliveries(
    db: &PgPool,
    collection: &CollectionName,
    window: impl Into<Window>,
) -> sqlx::Result<Vec<DeliveryRow>> {
    let window = window.into();
    sqlx::query_as!(
        DeliveryRow,
        r#"SELECT deliveries.id, forge_id, event, state::text AS "state!", verdict, reason,
            redeliveries, received_at,
            (
                SELECT coalesce(
                    jsonb_agg(
                        jsonb_build_object('id', id, 'tag', tag, 'state', builds.state)
                        ORDER BY builds.id
                    ),
                    '[]'
                )
                FROM builds
                WHERE builds.delivery_id = deliveries.id
            ) AS "builds!: Json<Vec<DeliveredBuild>>"
        FROM deliveries
        JOIN collections ON collections.id = deliveries.collection_id
        WHERE lower(collections.name) = lower($1)
        ORDER BY received_at DESC, deliveries.id DESC
        LIMIT $2 OFFSET $3"#,
        collection.to_string(),
        window.limit,
        window.offset,
    )
    .fetch_all(db)
    .await
}

/// The collection that a delivery was sent to.
pub async fn collection_of_delivery(
    db: &PgPool,
    delivery: DeliveryId,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT collections.name
        FROM deliveries
        JOIN collections ON collections.id = deliveries.collection_id
        WHERE deliveries.id = $1",
        delivery.0,
    )
    .fetch_optional(db)
    .await
}

/// All workers, those that called last first, with their builds of the collections in sight.
pub async fn workers(db: &PgPool, sight: Sight) -> sqlx::Result<Vec<Worker>> {
    let rows = sqlx::query!(
        r#"SELECT name, seen_at,
            ARRAY(
                SELECT builds.id
                FROM builds
                JOIN collections ON collections.id = builds.collection_id
                WHERE builds.worker_id = workers.id AND state = 'running'
                    AND is_seen(collections.id, visibility, $1, $2)
                ORDER BY builds.id
            ) AS "builds!"
        FROM workers
        ORDER BY seen_at DESC NULLS LAST, name"#,
        sight.person(),
        sight.everything,
    )
    .fetch_all(db)
    .await?;
    let workers = rows.into_iter().map(|row| Worker {
        name: row.name,
        seen_at: row.seen_at,
        builds: row.builds.into_iter().map(BuildId).collect(),
    });
    Ok(workers.collect())
}
