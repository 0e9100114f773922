//! The hub as a container library: what clients push, in their order. They say what will come, send
//! it, and tag it afterwards.
//! <https://github.com/apptainer/container-library-client/blob/main/client/push.go>
//!
//! The bytes take the way of every push, [`crate::registry::upload`].

use axum::body::BodyDataStream;
use chrono::Utc;
use cooperage_protocol::{CollectionId, Digest, ImageId, PushId, Tag};

use crate::db::pushes::{self, Begun, Push};
use crate::db::{blobs, images, tags};
use crate::error::Error;
use crate::pushed;
use crate::registry::{RegistryError, upload};
use crate::rights::signed::{self, Purpose};
use crate::state::Hub;

/// Bytes of a part of an upload in parts.
pub(crate) const PART: u64 = 64 << 20;

/// How long an address is good that bytes are sent to, in seconds.
const ADDRESS_SECONDS: i64 = 4 * 3600;

/// Notes that an image of this digest will be sent.
pub(crate) async fn expect(hub: &Hub, push: Push, digest: Digest) -> Result<PushId, Error> {
    let id = upload::begin(hub, push)
        .await
        .map_err(RegistryError::into_error)?;
    pushes::expect(&hub.db, id, digest).await?;
    Ok(id)
}

/// An address that the bytes from `offset` on are sent to: it needs no account, and is good for
/// hours.
pub(crate) fn address(hub: &Hub, id: PushId, offset: u64) -> Result<String, Error> {
    let until = Utc::now().timestamp() + ADDRESS_SECONDS;
    let proof = signed::sign(hub, Purpose::Upload, &text(id, offset, until))?;
    Ok(hub.config.url(&format!(
        "/v2/imagefile/{id}/bytes?offset={offset}&until={until}&proof={proof}"
    )))
}

fn text(id: PushId, offset: u64, until: i64) -> String {
    format!("{id} {offset} {until}")
}

/// What an address says.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Address {
    offset: u64,
    until: i64,
    proof: String,
}

/// Takes bytes that are sent to an address. A part may be sent again.
pub(crate) async fn receive(
    hub: &Hub,
    id: PushId,
    address: &Address,
    body: BodyDataStream,
) -> Result<(), Error> {
    let said = text(id, address.offset, address.until);
    let is_good = signed::is_signed(hub, Purpose::Upload, &said, &address.proof)?;
    if !is_good || address.until < Utc::now().timestamp() {
        return Err(Error::Forbidden(
            "this address is not one that the hub gave, or its time is over: push again",
        ));
    }
    append(hub, id, address.offset, body).await
}

/// Takes all bytes at once.
pub(crate) async fn receive_whole(
    hub: &Hub,
    id: PushId,
    body: BodyDataStream,
) -> Result<(), Error> {
    append(hub, id, 0, body).await
}

async fn append(hub: &Hub, id: PushId, offset: u64, body: BodyDataStream) -> Result<(), Error> {
    let begun = begun(hub, id).await?;
    let part = (Some(offset), true);
    let appended = upload::append(hub, (id, begun.push), part, body).await;
    appended.map(drop).map_err(RegistryError::into_error)
}

/// What is being sent under this id.
async fn begun(hub: &Hub, id: PushId) -> Result<Begun, Error> {
    let begun = pushes::begun(&hub.db, id).await?;
    begun.ok_or_else(|| {
        Error::NotFound(format!(
            "there is no image {id} to send: it is here, or was silent for too long"
        ))
    })
}

/// Publishes what was sent: an image without tags, of the same id.
pub(crate) async fn complete(hub: &Hub, id: PushId) -> Result<(), Error> {
    let Begun { push, digest } = begun(hub, id).await?;
    let finished = upload::finish(hub, (id, push), digest).await;
    finished.map_err(RegistryError::into_error)?;
    let Some(blob) = blobs::find(&hub.db, push.collection, digest).await? else {
        return Err(Error::NotFound(format!("blob {digest} was deleted")));
    };
    let size = u64::try_from(blob.size_bytes).map_err(anyhow::Error::from)?;
    let inspected = pushed::inspect(hub, digest, size).await?;
    let mut tx = hub.db.begin().await?;
    let named = (ImageId(id.0), &*digest.short());
    pushed::publish(&mut tx, push, &inspected, named).await?;
    tx.commit().await?;
    tracing::info!(collection.id = %push.collection, user.id = %push.user, "{digest} was pushed");
    Ok(())
}

/// Gives up what was being sent.
pub(crate) async fn abort(hub: &Hub, id: PushId) -> Result<(), Error> {
    let push = begun(hub, id).await?.push;
    let cancelled = upload::cancel(hub, id, push).await;
    cancelled.map_err(RegistryError::into_error)
}

/// Points a tag at an image of the collection, for the image's architecture alone.
pub(crate) async fn tag(
    hub: &Hub,
    collection: CollectionId,
    tag: &Tag,
    image: ImageId,
) -> Result<(), Error> {
    let mut tx = hub.db.begin().await?;
    if !images::is_of(&mut tx, collection, image).await? {
        return Err(Error::NotFound(format!(
            "there is no image {image} in this collection: push it first"
        )));
    }
    tags::point_for_architecture(&mut tx, collection, tag.as_str(), image).await?;
    Ok(tx.commit().await?)
}

/// What a collection holds of what was pushed to it, and may hold; 0 is no limit.
pub(crate) async fn quota(hub: &Hub, collection: CollectionId) -> Result<(u64, u64), Error> {
    let used = blobs::pushed_bytes(&hub.db, collection).await?;
    let most = hub.config.push.collection_mib.saturating_mul(1 << 20);
    Ok((used.try_into().unwrap_or_default(), most))
}
