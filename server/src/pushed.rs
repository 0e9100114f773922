//! How does an image become one of a collection that nobody built here? It is read as far as its
//! page tells of it, whatever protocol brought it.

use cooperage_protocol::image::{ImageFacts, Layout};
use cooperage_protocol::{Digest, ImageId};
use sqlx::PgConnection;

use crate::db::images::{self, PushedImage};
use crate::db::pushes::Push;
use crate::db::signatures;
use crate::error::Error;
use crate::sif::{self, NotSif, Sif, SifSignature, Source};
use crate::state::Hub;
use crate::verify;

/// A SIF that is an object of the store, and what it tells of itself.
#[derive(Debug)]
pub(crate) struct Inspected {
    digest: Digest,
    size: u64,
    md5: String,
    facts: ImageFacts,
    signatures: Vec<SifSignature>,
}

/// Reads an object as a SIF.
pub(crate) async fn inspect(hub: &Hub, digest: Digest, size: u64) -> Result<Inspected, Error> {
    let store = hub.store.clone();
    let inspecting = tokio::task::spawn_blocking(move || {
        let layout = Layout::of_one_object(digest, size);
        let source = Source {
            store: &store,
            layout: &layout,
        };
        let sif = Sif::read(&source)?;
        let facts = sif::facts(&source, &sif)?;
        let signatures = sif::signatures(&source, &sif)?;
        let (_, md5) = verify::digests(&store, &layout)?;
        Ok(Inspected {
            digest,
            size,
            md5,
            facts,
            signatures,
        })
    });
    let inspected: Result<_, NotSif> = inspecting.await.map_err(anyhow::Error::from)?;
    inspected.map_err(|error| match error {
        NotSif::Wrong(_) => Error::Unprocessable(error.to_string()),
        NotSif::Unreadable(error) => error.into(),
    })
}

/// Makes it an image of a collection, of this id unless the collection has it already.
pub(crate) async fn publish(
    db: &mut PgConnection,
    push: Push,
    inspected: &Inspected,
    (id, pushed_for): (ImageId, &str),
) -> Result<ImageId, Error> {
    let image = PushedImage {
        id,
        digest: inspected.digest,
        md5: &inspected.md5,
        size: inspected.size,
        facts: &inspected.facts,
        pushed_for,
        pushed_by: push.user,
    };
    let id = images::insert_pushed(&mut *db, push.collection, &image).await?;
    signatures::insert(db, id, &inspected.signatures).await?;
    Ok(id)
}
