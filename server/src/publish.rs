//! How does an image become public? Objects first; then image, build and tags in one transaction.
//! The hub signs it before.

use cooperage_protocol::worker::{FinishedImage, Outcome};
use cooperage_protocol::{BuildState, Digest, Failure};
use sqlx::PgConnection;

use crate::db::builds::leases::{self, Holder, Locked};
use crate::db::images::{self, BuiltImage};
use crate::db::{objects, signatures, tags};
use crate::error::Error;
use crate::queue::{cancelled, lease_lost};
use crate::signing::{self, SignedImage};
use crate::state::Hub;
use crate::verify::Verified;

/// Ends an attempt as its worker says; saying it again changes nothing.
pub async fn finish(hub: &Hub, holder: Holder, outcome: &Outcome) -> Result<(), Error> {
    let ready = make_ready(hub, holder, outcome).await?;
    let mut tx = hub.db.begin().await?;
    let locked = leases::lock(&mut tx, holder)
        .await?
        .ok_or_else(lease_lost)?;
    if locked.state != BuildState::Running {
        return repeated(&mut tx, holder, locked.state, outcome).await;
    }
    match (outcome, ready) {
        _ if locked.cancel_requested => fail(&mut tx, holder, &cancelled()).await?,
        (Outcome::Failed(failure), _) => fail(&mut tx, holder, failure).await?,
        (Outcome::Succeeded(_), Some(image)) => {
            keep_signature(hub, &mut tx, holder, &image).await?;
            publish(&mut tx, holder, &locked, &image).await?;
        }
        (Outcome::Succeeded(_), None) => return Err(lease_lost()),
    }
    tx.commit().await?;
    Ok(hub.store.remove_uploads_of(holder.build).await?)
}

/// An image that may be published.
struct Ready<'a> {
    sent: &'a FinishedImage,
    signed: Option<SignedImage>,
}

/// The image of a build that runs, signed. It is read without a transaction: that takes its time.
async fn make_ready<'a>(
    hub: &Hub,
    holder: Holder,
    outcome: &'a Outcome,
) -> Result<Option<Ready<'a>>, Error> {
    match outcome {
        Outcome::Succeeded(image) if leases::held(&hub.db, holder).await?.is_some() => {
            let sent = Verified::of(hub, holder.build, image).await?.image();
            let signed = signing::sign(hub, &sent.layout).await?;
            Ok(Some(Ready { sent, signed }))
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
            let sent = images::sent_by_build(db, holder.build).await?;
            sent == Some(image.digest.to_string())
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

/// Makes an object of what the signed image has of its own.
async fn keep_signature(
    hub: &Hub,
    db: &mut PgConnection,
    holder: Holder,
    image: &Ready<'_>,
) -> Result<(), Error> {
    let Some(signed) = &image.signed else {
        return Ok(());
    };
    let digest = Digest::of(&signed.own);
    let size = i64::try_from(signed.own.len()).map_err(anyhow::Error::from)?;
    objects::lock(&mut *db, digest).await?;
    let kept = hub.store.write(holder.build, &signed.own).await?;
    kept.publish().await?;
    objects::insert(db, digest, size).await?;
    Ok(())
}

async fn publish(
    db: &mut PgConnection,
    holder: Holder,
    locked: &Locked,
    image: &Ready<'_>,
) -> Result<(), Error> {
    let built = image.described();
    let id = images::insert(&mut *db, locked.collection, holder.build, &built).await?;
    if let Some(signed) = &image.signed {
        signatures::insert(&mut *db, id, std::slice::from_ref(&signed.signature)).await?;
    }
    leases::succeed(&mut *db, holder.build).await?;
    for tag in &locked.tags {
        tags::advance(&mut *db, locked.collection, tag, (id, locked.queued_at)).await?;
    }
    let size_bytes = built.layout.size();
    tracing::info!(build.id = %holder.build, size_bytes, "published {}", locked.tags.join(", "));
    Ok(())
}

impl Ready<'_> {
    fn described(&self) -> BuiltImage<'_> {
        let sent = self.sent;
        let (digest, md5, layout) = match &self.signed {
            Some(signed) => (signed.digest, &signed.md5, &signed.layout),
            None => (sent.digest, &sent.md5, &sent.layout),
        };
        BuiltImage {
            digest,
            md5,
            layout,
            facts: &sent.facts,
            sent_digest: sent.digest,
        }
    }
}
