//! How do the bytes of a blob come to a collection? In one piece, in parts that can be resumed, or
//! from another collection.

use axum::body::BodyDataStream;
use cooperage_protocol::{CollectionId, CollectionName, Digest, PushId};

use super::{Code, RegistryError};
use crate::db::pushes::{self, Push};
use crate::db::{blobs, objects, rights};
use crate::error::Error;
use crate::rights::{Action, Caller, may};
use crate::state::Hub;
use crate::store::incoming::Part;

/// Begins an upload.
pub(crate) async fn begin(hub: &Hub, push: Push) -> Result<PushId, RegistryError> {
    room(hub, push.collection).await?;
    let id = PushId::generate();
    // In this order: what has a file has a row, or is given up.
    pushes::begin(&hub.db, id, push).await?;
    hub.store.begin_incoming(id).await?;
    Ok(id)
}

/// How many bytes an upload has brought.
pub(crate) async fn length(hub: &Hub, id: PushId, push: Push) -> Result<u64, RegistryError> {
    find(hub, id, push).await?;
    Ok(hub.store.incoming_length(id).await.map_err(Error::from)?)
}

/// Takes a part of an upload; gives how many bytes there are with it.
pub(crate) async fn append(
    hub: &Hub,
    (id, push): (PushId, Push),
    (offset, again): (Option<u64>, bool),
    body: BodyDataStream,
) -> Result<u64, RegistryError> {
    find(hub, id, push).await?;
    let most = room(hub, push.collection).await?;
    let part = Part {
        offset,
        again,
        most,
    };
    let length = hub.store.append_incoming(id, part, body).await?;
    // What takes long is not silent.
    pushes::touch(&hub.db, id, push).await?;
    Ok(length)
}

/// Ends an upload: its bytes are the blob of this digest, on disk and known, or it is refused.
pub(crate) async fn finish(
    hub: &Hub,
    (id, push): (PushId, Push),
    digest: Digest,
) -> Result<(), RegistryError> {
    find(hub, id, push).await?;
    let completed = hub.store.complete_incoming(id, digest).await;
    if let Err(Error::Unprocessable(message)) = completed {
        cancel(hub, id, push).await?;
        return Err(RegistryError::bad(Code::DigestInvalid, message));
    }
    let (received, length) = completed?;
    let size = i64::try_from(length).map_err(|error| Error::Internal(error.into()))?;
    let mut tx = hub.db.begin().await?;
    objects::lock(&mut tx, digest).await?;
    received.publish().await?;
    objects::insert(&mut tx, digest, size).await?;
    blobs::put(&mut tx, push.collection, digest).await?;
    tx.commit().await?;
    Ok(pushes::end(&hub.db, id).await?)
}

/// Ends an upload without a blob.
pub(crate) async fn cancel(hub: &Hub, id: PushId, push: Push) -> Result<(), RegistryError> {
    find(hub, id, push).await?;
    pushes::end(&hub.db, id).await?;
    Ok(hub.store.remove_incoming(id).await.map_err(Error::from)?)
}

/// Takes a blob from another collection, if the caller may read it there; true when it is done.
pub(crate) async fn mount(
    hub: &Hub,
    caller: &Caller,
    (from, to): (&CollectionName, CollectionId),
    digest: Digest,
) -> Result<bool, RegistryError> {
    let person = caller.person().map(|person| person.id);
    let from = rights::of_collection(&hub.db, from, person).await?;
    let Some(from) = from.filter(|from| may(caller, Action::Read, from)) else {
        return Ok(false);
    };
    let mut tx = hub.db.begin().await?;
    let is_there = blobs::need(&mut tx, from.id, digest).await?.is_some();
    if is_there {
        blobs::put(&mut tx, to, digest).await?;
    }
    tx.commit().await?;
    Ok(is_there)
}

async fn find(hub: &Hub, id: PushId, push: Push) -> Result<(), RegistryError> {
    if pushes::touch(&hub.db, id, push).await? {
        return Ok(());
    }
    let message = format!("there is no upload {id}: it is over, or was silent for too long");
    Err(RegistryError::missing(Code::BlobUploadUnknown, message))
}

/// How many bytes may still be pushed to a collection at a time.
async fn room(hub: &Hub, collection: CollectionId) -> Result<u64, Error> {
    let settings = &hub.config.push;
    let most = settings.blob_mib.saturating_mul(1 << 20);
    let quota = settings.collection_mib.saturating_mul(1 << 20);
    if quota == 0 {
        return Ok(most);
    }
    let used = blobs::pushed_bytes(&hub.db, collection).await?;
    match quota.saturating_sub(used.try_into().unwrap_or_default()) {
        0 => Err(Error::NoSpace(
            "the quota of the collection is used up: delete images that were pushed to it",
        )),
        left => Ok(most.min(left)),
    }
}
