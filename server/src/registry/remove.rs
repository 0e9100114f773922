//! What goes when a client of registries deletes something? A tag alone, or a manifest with its tags
//! and the image that it is. The collector of the store frees the space.

use cooperage_protocol::{CollectionId, Digest};

use super::push::Reference;
use super::{Code, RegistryError};
use crate::db::{blobs, images, manifests, tags};
use crate::state::Hub;

/// Deletes a tag, or a manifest that was pushed. Images that were built stay.
pub(crate) async fn manifest(
    hub: &Hub,
    collection: CollectionId,
    reference: &Reference,
) -> Result<(), RegistryError> {
    match reference {
        Reference::Tag(tag) => {
            if tags::delete(&hub.db, collection, tag).await? {
                return Ok(());
            }
            let message = format!("there is no tag {tag}");
            Err(RegistryError::missing(Code::ManifestUnknown, message))
        }
        Reference::Digest(digest) => by_digest(hub, collection, *digest).await,
    }
}

async fn by_digest(
    hub: &Hub,
    collection: CollectionId,
    digest: Digest,
) -> Result<(), RegistryError> {
    if let Some(list) = manifests::that_names(&hub.db, collection, digest).await? {
        let message = format!("manifest {digest} is listed by {list}: delete that first");
        return Err(RegistryError::unsupported(message));
    }
    let mut tx = hub.db.begin().await?;
    let Some(image) = manifests::delete(&mut tx, collection, digest).await? else {
        let message = format!("there is no manifest {digest} that was pushed");
        return Err(RegistryError::missing(Code::ManifestUnknown, message));
    };
    if let Some(image) = image {
        images::delete_pushed(&mut tx, image).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Deletes a blob that no manifest names.
pub(crate) async fn blob(
    hub: &Hub,
    collection: CollectionId,
    digest: Digest,
) -> Result<(), RegistryError> {
    if blobs::delete(&hub.db, collection, digest).await? {
        return Ok(());
    }
    if let Some(manifest) = manifests::that_names(&hub.db, collection, digest).await? {
        let message = format!("blob {digest} is part of manifest {manifest}: delete that first");
        return Err(RegistryError::unsupported(message));
    }
    let message = format!("there is no blob {digest}");
    Err(RegistryError::missing(Code::BlobUnknown, message))
}
