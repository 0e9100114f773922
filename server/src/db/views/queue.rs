//! Reading deliveries and workers.

use cooperage_protocol::admin::Worker;
use cooperage_protocol::published::{DeliveredBuild, Delivery};
use cooperage_protocol::{BuildId, CollectionName, DeliveryId};
use sqlx::PgPool;
use sqlx::types::Json;

use super::{Sight, Window};

/// The newest deliveries of a collection.
pub async fn deliveries(
    db: &PgPool,
    collection: &CollectionName,
    window: impl Into<Window>,
) -> sqlx::Result<Vec<Delivery>> {
    let window = window.into();
    let rows = sqlx::query!(
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
    .await?;
    let deliveries = rows.into_iter().map(|row| Delivery {
        id: row.id.into(),
        forge_id: row.forge_id,
        event: row.event,
        state: row.state,
        verdict: row.verdict,
        reason: row.reason,
        redeliveries: row.redeliveries,
        received_at: row.received_at,
        builds: row.builds.0,
    });
    Ok(deliveries.collect())
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
