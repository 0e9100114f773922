//! What becomes of a manifest that is pushed? It is kept as it is, and that of a SIF publishes an
//! image.

use cooperage_protocol::{Digest, ImageId, Tag};
use sqlx::PgConnection;

use super::manifest::{Descriptor, Manifest};
use super::{Code, RegistryError};
use crate::db::manifests::{self, NewManifest};
use crate::db::pushes::Push;
use crate::db::{blobs, images, tags};
use crate::error::Error;
use crate::pushed::{self, Inspected};
use crate::state::Hub;

/// The bytes of a configuration that says nothing: every collection has them.
pub(crate) const EMPTY: &[u8] = b"{}";

/// How a manifest is named that is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// By a tag, which points at it from then on.
    Tag(String),
    /// By its digest alone.
    Digest(Digest),
}

impl Reference {
    /// Reads the last part of a manifest's path.
    pub(crate) fn parse(text: &str) -> Result<Self, RegistryError> {
        if text.contains(':') {
            let digest = text.parse();
            return digest
                .map(Self::Digest)
                .map_err(|error| RegistryError::bad(Code::DigestInvalid, format!("{error}")));
        }
        if is_tag(text) {
            return Ok(Self::Tag(text.to_owned()));
        }
        let message = format!(
            "tag {text:?} is not 1 to 128 letters, digits, '_', '.' and '-' that begin with a \
             letter, a digit or '_'"
        );
        Err(RegistryError::bad(Code::TagInvalid, message))
    }
}

/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
fn is_tag(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with(['.', '-'])
}

/// Takes a manifest.
pub(crate) async fn put(
    hub: &Hub,
    push: Push,
    reference: &Reference,
    (manifest, text): (&Manifest, &[u8]),
) -> Result<(), RegistryError> {
    check_name(reference, manifest)?;
    let sif = match &manifest.sif {
        Some(layer) => Some(inspect(hub, push, layer).await?),
        None => None,
    };
    let mut tx = hub.db.begin().await?;
    let parts = need_parts(&mut tx, push, manifest).await?;
    let image = match &sif {
        Some(sif) => Some(publish(&mut tx, push, reference, sif).await?),
        None => None,
    };
    let new = NewManifest {
        digest: manifest.digest,
        media_type: &manifest.media_type,
        artifact_type: manifest.artifact_type.as_deref(),
        subject: manifest.subject,
        annotations: &manifest.annotations,
        content: text,
        parts: &parts,
        image,
        pushed_by: push.user,
    };
    manifests::insert(&mut tx, push.collection, &new).await?;
    if let Reference::Tag(tag) = reference {
        let target = (manifest.digest, image);
        tags::point_at_manifest(&mut tx, push.collection, tag, target).await?;
    }
    tx.commit().await?;
    tracing::info!(
        collection.id = %push.collection, user.id = %push.user, manifest = %manifest.digest,
        "a manifest was pushed"
    );
    Ok(())
}

fn check_name(reference: &Reference, manifest: &Manifest) -> Result<(), RegistryError> {
    match reference {
        Reference::Digest(digest) if *digest != manifest.digest => {
            let message = format!("the manifest has the digest {}", manifest.digest);
            Err(RegistryError::bad(Code::DigestInvalid, message))
        }
        // An image is pulled by all protocols, and they have fewer tags.
        Reference::Tag(tag) if manifest.sif.is_some() => match tag.parse::<Tag>() {
            Ok(_) => Ok(()),
            Err(error) => Err(RegistryError::bad(Code::TagInvalid, error.to_string())),
        },
        _ => Ok(()),
    }
}

/// Reads the SIF that a layer is, unless the collection has it as an image already.
async fn inspect(
    hub: &Hub,
    push: Push,
    layer: &Descriptor,
) -> Result<(Digest, Option<Inspected>), RegistryError> {
    let mut db = hub.db.acquire().await?;
    let known = images::of_digest(&mut db, push.collection, layer.digest).await?;
    drop(db);
    if known.is_some() {
        return Ok((layer.digest, None));
    }
    let Some(blob) = blobs::find(&hub.db, push.collection, layer.digest).await? else {
        return Err(unknown(layer, "blob"));
    };
    let size = u64::try_from(blob.size_bytes).map_err(|error| Error::Internal(error.into()))?;
    match pushed::inspect(hub, layer.digest, size).await {
        Ok(inspected) => Ok((layer.digest, Some(inspected))),
        Err(Error::Unprocessable(message)) => {
            Err(RegistryError::bad(Code::ManifestInvalid, message))
        }
        Err(error) => Err(error.into()),
    }
}

/// The parts of a manifest, which are all there, and stay.
async fn need_parts(
    db: &mut PgConnection,
    push: Push,
    manifest: &Manifest,
) -> Result<Vec<Digest>, RegistryError> {
    for blob in &manifest.blobs {
        if blob.digest == Digest::of(EMPTY) {
            continue;
        }
        let size = match blobs::need(db, push.collection, blob.digest).await? {
            Some(size) => Some(size),
            None => images::size_of_digest(db, push.collection, blob.digest).await?,
        };
        let Some(size) = size else {
            return Err(unknown(blob, "blob"));
        };
        if u64::try_from(size).ok() != Some(blob.size) {
            let message = format!("blob {} has {size} bytes, not {}", blob.digest, blob.size);
            return Err(RegistryError::bad(Code::ManifestInvalid, message));
        }
    }
    for listed in &manifest.manifests {
        if !manifests::exists(db, push.collection, listed.digest).await? {
            return Err(unknown(listed, "manifest"));
        }
    }
    let parts = manifest.blobs.iter().chain(&manifest.manifests);
    Ok(parts.map(|part| part.digest).collect())
}

fn unknown(part: &Descriptor, what: &str) -> RegistryError {
    let message = format!(
        "{what} {} is not in this collection: push it first",
        part.digest
    );
    RegistryError::missing(Code::ManifestBlobUnknown, message)
}

/// The image that a SIF is: one that the collection has, or another.
async fn publish(
    db: &mut PgConnection,
    push: Push,
    reference: &Reference,
    (layer, inspected): &(Digest, Option<Inspected>),
) -> Result<ImageId, RegistryError> {
    if let Some(inspected) = inspected {
        let pushed_for = match reference {
            Reference::Tag(tag) => tag.clone(),
            Reference::Digest(_) => layer.short(),
        };
        let named = (ImageId::generate(), &*pushed_for);
        return Ok(pushed::publish(db, push, inspected, named).await?);
    }
    let known = images::of_digest(db, push.collection, *layer).await?;
    known.ok_or_else(|| {
        let message = format!("image {layer} was deleted just now: push it again");
        RegistryError::missing(Code::ManifestBlobUnknown, message)
    })
}
