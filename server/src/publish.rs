//! How does an image become public? Objects first; then image, build and tags in one transaction.

use cooperage_protocol::worker::Outcome;
use cooperage_protocol::{BuildState, Failure};
use sqlx::PgConnection;

use crate::db::builds::leases::{self, Holder, Locked};
use crate::db::{images, tags};
use crate::error::Error;
use crate::queue::{cancelled, lease_lost};
use crate::state::Hub;
use crate::verify::Verified;

/// Ends an attempt as its worker says; saying it again changes nothing.
pub async fn finish(hub: &Hub, holder: Holder, outcome: &Outcome) -> Result<(), Error> {
    let verified = verify(hub, holder, outcome).await?;
    let mut tx = hub.db.begin().await?;
    let locked = leases::lock(&mut tx, holder)
        .await?
        .ok_or_else(lease_lost)?;
    if locked.state != BuildState::Running {
        return repeated(&mut tx, holder, locked.state, outcome).await;
    }
    match (outcome, verified) {
        _ if locked.cancel_requested => fail(&mut tx, holder, &cancelled()).await?,
        (Outcome::Failed(failure), _) => fail(&mut tx, holder, failure).await?,
        (Outcome::Succeeded(_), Some(image)) => publish(&mut tx, holder, &locked, image).await?,
        (Outcome::Succeeded(_), None) => return Err(lease_lost()),
    }
    tx.commit().await?;
    Ok(hub.store.remove_uploads_of(holder.build).await?)
}

/// The image of a build that runs. It is read without a transaction: that takes its time.
async fn verify<'a>(
    hub: &Hub,
    holder: Holder,
    outcome: &'a Outcome,
) -> Result<Option<Verified<'a>>, Error> {
    match outcome {
        Outcome::Succeeded(image) if leases::held(&hub.db, holder).await?.is_some() => {
            Verified::of(hub, holder.build, image).await.map(Some)
        }
        _ => Ok(None),
    }
}

async fn repeated(
    db: &mut PgConnection,
    holder: Holder,
    state: BuildState,
    outcome: &Outcome,
) -> Result<(), Error> {
    let is_same = match (state, outcome) {
        (BuildState::Cancelled, _) | (BuildState::Failed, Outcome::Failed(_)) => true,
        (BuildState::Succeeded, Outcome::Succeeded(image)) => {
            let published = images::digest_of_build(db, holder.build).await?;
            published == Some(image.digest.to_string())
        }
        _ => false,
    };
    if is_same { Ok(()) } else { Err(lease_lost()) }
}

async fn fail(db: &mut PgConnection, holder: Holder, failure: &Failure) -> Result<(), Error> {
    tracing::info!(
        build.id = %holder.build, attempt = holder.attempt, kind = failure.kind.as_str(),
        "build ended without an image: {}", failure.message
    );
    leases::fail(db, holder.build, failure).await
}

async fn publish(
    db: &mut PgConnection,
    holder: Holder,
    locked: &Locked,
    verified: Verified<'_>,
) -> Result<(), Error> {
    let image = verified.image();
    let id = images::insert(&mut *db, locked.collection, holder.build, image).await?;
    leases::succeed(&mut *db, holder.build).await?;
    for tag in &locked.tags {
        tags::advance(&mut *db, locked.collection, tag, (id, locked.queued_at)).await?;
    }
    let size_bytes = image.layout.size();
    tracing::info!(build.id = %holder.build, size_bytes, "published {}", locked.tags.join(", "));
    Ok(())
}
