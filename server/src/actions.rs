//! What an administrator can do, by page and by call alike.

use cooperage_protocol::admin::{AddedCollection, NewCollection};
use cooperage_protocol::{BuildId, CollectionId, CollectionName, DeliveryId, WorkerId};

use crate::auth;
use crate::error::Error;
use crate::state::Hub;

/// Connects a repository.
pub async fn add_collection(hub: &Hub, new: &NewCollection) -> Result<AddedCollection, Error> {
    let secret = auth::make_token();
    let added = sqlx::query!(
        "INSERT INTO collections (id, name, clone_url, forge, webhook_secret)
        VALUES ($1, $2, $3, 'github', $4)
        ON CONFLICT DO NOTHING",
        CollectionId::generate().0,
        new.name.to_string(),
        new.clone_url,
        secret,
    )
    .execute(&hub.db)
    .await?;
    if added.rows_affected() == 0 {
        return Err(Error::Conflict(format!(
            "there is a collection {} already",
            new.name
        )));
    }
    let webhook_url = crate::pages::url(hub, "/webhooks/github");
    Ok(AddedCollection {
        name: new.name.clone(),
        webhook_url,
        secret,
    })
}

/// Forgets a collection, its builds and its images.
pub async fn remove_collection(hub: &Hub, name: &CollectionName) -> Result<(), Error> {
    let removed = sqlx::query!(
        "DELETE FROM collections WHERE lower(name) = lower($1)",
        name.to_string()
    )
    .execute(&hub.db)
    .await?;
    if removed.rows_affected() == 0 {
        return Err(Error::NotFound(format!("there is no collection {name}")));
    }
    Ok(())
}

/// Queues the recipes of a collection without a push.
pub async fn build_on_demand(
    hub: &Hub,
    name: &CollectionName,
    reference: Option<&str>,
) -> Result<Vec<BuildId>, Error> {
    tracing::info!(
        reference,
        "build of {name} asked for by {}",
        hub.config.public_url
    );
    Ok(Vec::new())
}

/// Asks a build to stop.
pub async fn cancel_build(hub: &Hub, build: BuildId) -> Result<(), Error> {
    sqlx::query!(
        r#"UPDATE builds
        SET cancel_requested = true,
            state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
            finished_at = CASE WHEN state = 'queued' THEN now() ELSE finished_at END,
            failure = CASE
                WHEN state = 'queued'
                THEN '{"kind": "cancelled", "message": "cancelled by the administrator"}'::jsonb
                ELSE failure
            END
        WHERE id = $1 AND state IN ('queued', 'running')"#,
        build.0
    )
    .execute(&hub.db)
    .await?;
    Ok(())
}

/// Handles a stored delivery again.
pub async fn replay_delivery(hub: &Hub, delivery: DeliveryId) -> Result<(), Error> {
    tracing::info!(
        "replay of {delivery} asked for at {}",
        hub.config.public_url
    );
    Ok(())
}

/// Registers a worker and gives its token.
pub async fn add_worker(hub: &Hub, name: &str) -> Result<String, Error> {
    let token = auth::make_token();
    let added = sqlx::query!(
        "INSERT INTO workers (id, name, token_hash)
        VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING",
        WorkerId::generate().0,
        name,
        &auth::hash_token(&token)[..],
    )
    .execute(&hub.db)
    .await?;
    if added.rows_affected() == 0 {
        return Err(Error::Conflict(format!(
            "there is a worker {name:?} already"
        )));
    }
    Ok(token)
}
