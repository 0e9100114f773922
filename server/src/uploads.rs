//! What does a worker have to send of an image, and how does it become objects of the store?

use std::collections::HashSet;

use axum::body::BodyDataStream;
use cooperage_protocol::worker::{Missing, MissingObject, Offer};
use cooperage_protocol::{CollectionId, Digest};

use crate::db::builds::leases::{self, Holder};
use crate::db::{objects, offers};
use crate::error::Error;
use crate::queue::lease_lost;
use crate::state::Hub;
use crate::store::upload::{Progress, Upload};

/// The most objects that an image is made of.
const MOST_OBJECTS: usize = 1024;

/// Notes what the image of a build will be made of, and tells what the hub needs of it.
pub async fn offer(
    hub: &Hub,
    holder: Holder,
    collection: CollectionId,
    offer: &Offer,
) -> Result<Missing, Error> {
    check(hub, offer)?;
    let build = holder.build;
    let mut tx = hub.db.begin().await?;
    offers::replace(&mut tx, build, &offer.objects).await?;
    offers::prove_by_images(&mut tx, build, collection).await?;
    let usable = offers::usable(&mut tx, build).await?;
    let mut missing = Vec::new();
    for object in &offer.objects {
        let (digest, size) = (object.digest, object.size);
        let known = usable.get(&digest.to_string());
        let is_usable = known.is_some_and(|known| u64::try_from(*known) == Ok(size));
        // What the disk has lost is asked for again.
        if is_usable && hub.store.has(digest, size).await? {
            continue;
        }
        let upload = Upload {
            build,
            digest,
            size,
        };
        let received = hub.store.received(upload).await?;
        missing.push(MissingObject { digest, received });
    }
    tx.commit().await?;
    Ok(Missing { objects: missing })
}

/// Takes a part of an object; true when it is complete, checked, on disk and known.
pub async fn receive(
    hub: &Hub,
    holder: Holder,
    part: (Digest, u64),
    body: BodyDataStream,
) -> Result<bool, Error> {
    let (digest, offset) = part;
    let Some(size) = offers::size(&hub.db, holder.build, digest).await? else {
        return Err(Error::Unprocessable(format!(
            "object {digest} was not offered"
        )));
    };
    let upload = Upload {
        build: holder.build,
        digest,
        size: u64::try_from(size).map_err(anyhow::Error::from)?,
    };
    let Progress::Complete(received) = hub.store.append(upload, offset, body).await? else {
        return Ok(false);
    };
    let mut tx = hub.db.begin().await?;
    objects::lock(&mut tx, digest).await?;
    leases::held(&hub.db, holder)
        .await?
        .ok_or_else(lease_lost)?;
    received.publish().await?;
    objects::insert(&mut tx, digest, size).await?;
    offers::prove_by_upload(&mut tx, holder.build, digest).await?;
    tx.commit().await?;
    Ok(true)
}

fn check(hub: &Hub, offer: &Offer) -> Result<(), Error> {
    let most_bytes = hub.config.limits.disk_mib.saturating_mul(1 << 20);
    let mut seen = HashSet::new();
    let mut bytes = 0_u64;
    for object in &offer.objects {
        bytes = bytes.saturating_add(object.size);
        if !seen.insert(object.digest) {
            let digest = object.digest;
            return Err(Error::Unprocessable(format!("{digest} is offered twice")));
        }
    }
    if seen.len() > MOST_OBJECTS {
        return Err(Error::TooLarge(format!(
            "an image may have {MOST_OBJECTS} objects"
        )));
    }
    if bytes > most_bytes {
        return Err(Error::TooLarge(format!(
            "the objects of an image may have {most_bytes} bytes"
        )));
    }
    Ok(())
}
