//! How does an image become public? Objects first; then image, build and tags in one transaction.

use axum::body::BodyDataStream;
use cooperage_protocol::worker::{FinishedImage, Outcome};
use cooperage_protocol::{BuildState, Digest, Failure};
use sqlx::PgConnection;

use crate::db::builds::leases::{self, Holder, Locked};
use crate::db::{images, objects, tags};
use crate::error::Error;
use crate::queue::{cancelled, lease_lost};
use crate::state::Hub;

/// Ends an attempt as its worker says; saying it again changes nothing.
pub async fn finish(hub: &Hub, holder: Holder, outcome: &Outcome) -> Result<(), Error> {
    let mut tx = hub.db.begin().await?;
    let locked = leases::lock(&mut tx, holder)
        .await?
        .ok_or_else(lease_lost)?;
    if locked.state != BuildState::Running {
        return repeated(&mut tx, holder, locked.state, outcome).await;
    }
    match outcome {
        _ if locked.cancel_requested => fail(&mut tx, holder, &cancelled()).await?,
        Outcome::Failed(failure) => fail(&mut tx, holder, failure).await?,
        Outcome::Succeeded(image) => publish(&mut tx, holder, &locked, image).await?,
    }
    Ok(tx.commit().await?)
}

/// Stores an object that a worker sends: complete, checked and known, or not at all.
pub async fn receive_object(hub: &Hub, digest: Digest, body: BodyDataStream) -> Result<(), Error> {
    let most_bytes = hub.config.limits.disk_mib.saturating_mul(1 << 20);
    let received = hub.store.receive(digest, most_bytes, body).await?;
    let size = i64::try_from(received.size).map_err(anyhow::Error::from)?;
    let mut tx = hub.db.begin().await?;
    objects::lock(&mut tx, digest).await?;
    received.publish().await?;
    objects::insert(&mut tx, digest, size).await?;
    Ok(tx.commit().await?)
}

/// Removes an object that no image has a piece of any more.
pub(crate) async fn remove_unused_object(hub: &Hub, digest: Digest) -> Result<(), Error> {
    let mut tx = hub.db.begin().await?;
    objects::lock(&mut tx, digest).await?;
    if objects::delete_unused(&mut tx, digest).await? {
        hub.store.remove(digest).await?;
    }
    Ok(tx.commit().await?)
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
    image: &FinishedImage,
) -> Result<(), Error> {
    check(&mut *db, image).await?;
    let id = images::insert(&mut *db, locked.collection, holder.build, image).await?;
    leases::succeed(&mut *db, holder.build).await?;
    for tag in &locked.tags {
        tags::advance(&mut *db, locked.collection, tag, (id, locked.queued_at)).await?;
    }
    let size_bytes = image.layout.size();
    tracing::info!(build.id = %holder.build, size_bytes, "published {}", locked.tags.join(", "));
    Ok(())
}

async fn check(db: &mut PgConnection, image: &FinishedImage) -> Result<(), Error> {
    let wrong = |message: String| Err(Error::Unprocessable(message));
    if image.md5.len() != 32 || hex::decode(&image.md5).is_err() {
        return wrong(format!("{:?} is not an MD5 in hex", image.md5));
    }
    let names: Vec<String> = image
        .layout
        .0
        .iter()
        .map(|e| e.object.to_string())
        .collect();
    let sizes = objects::sizes(db, &names).await?;
    let mut total = 0_u64;
    for (extent, name) in image.layout.0.iter().zip(&names) {
        let Some(size) = sizes.get(name).and_then(|size| u64::try_from(*size).ok()) else {
            return wrong(format!("object {name} was not uploaded"));
        };
        if extent
            .offset
            .checked_add(extent.length)
            .is_none_or(|end| end > size)
        {
            return wrong(format!("object {name} has only {size} bytes"));
        }
        total = match total.checked_add(extent.length) {
            Some(total) => total,
            None => return wrong("the image is larger than any file".to_owned()),
        };
    }
    let is_one_whole_object = matches!(image.layout.0.as_slice(), [one]
        if one.offset == 0 && sizes.get(&names[0]) == i64::try_from(one.length).ok().as_ref());
    if is_one_whole_object && image.layout.0[0].object != image.digest {
        return wrong(format!(
            "the image is one object, but its digest is not {}",
            names[0]
        ));
    }
    if total == 0 {
        return wrong("the image is empty".to_owned());
    }
    Ok(())
}
