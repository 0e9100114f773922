//! What goes from the store when nothing needs it any more, and when?
//!
//! An object stays while an image has a piece of it or a running build offered it, and for a while
//! after. A download that has begun has its objects open, and is not disturbed. All steps can be
//! broken off anywhere, and several hubs may take them at the same time: the file goes before the
//! row is gone for others, and a row without a file counts as missing (`uploads::offer`).

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use cooperage_protocol::Digest;
use cooperage_protocol::admin::{Clean, Cleaned, StoreUsage};

use crate::db::{blobs, builds, objects, offers, pushes};
use crate::error::Error;
use crate::remote_builds;
use crate::state::Hub;

/// How often the hub looks.
const PERIOD: Duration = Duration::from_mins(10);

/// The longest that an object is kept unused, in minutes: a century.
const LONGEST_GRACE: u64 = 100 * 366 * 24 * 60;

/// Removes what nothing has needed for so long.
pub(crate) async fn collect(hub: &Hub, grace: Duration) -> Result<Cleaned, Error> {
    offers::forget_ended(&hub.db).await?;
    end_silent_pushes(hub).await?;
    remote_builds::expire(hub).await?;
    blobs::forget_unneeded(&hub.db, grace.as_secs_f64()).await?;
    objects::mark_unused(&hub.db).await?;
    let mut cleaned = Cleaned::default();
    for digest in objects::unused_for(&hub.db, grace.as_secs_f64()).await? {
        let digest = digest.parse().map_err(anyhow::Error::from)?;
        if let Some(size) = remove_unused(hub, digest).await? {
            cleaned.objects += 1;
            cleaned.bytes += u64::try_from(size).unwrap_or_default();
        }
    }
    remove_uploads(hub).await?;
    for folder in hub.store.folders().await? {
        remove_strays(hub, &folder).await?;
    }
    Ok(cleaned)
}

/// Removes what nothing has needed for as long as the administrator says.
pub async fn clean_store(hub: &Hub, clean: &Clean) -> Result<Cleaned, Error> {
    let minutes = clean.unused_minutes;
    let minutes = minutes.unwrap_or(hub.config.store.keep_unused_minutes);
    collect(hub, Duration::from_secs(minutes.min(LONGEST_GRACE) * 60)).await
}

/// What the images take on disk.
pub async fn store_usage(hub: &Hub) -> Result<StoreUsage, Error> {
    let usage = objects::usage(&hub.db).await?;
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(StoreUsage {
        images: count(usage.images),
        image_bytes: count(usage.image_bytes),
        objects: count(usage.objects),
        object_bytes: count(usage.object_bytes),
        unused_objects: count(usage.unused_objects),
        unused_bytes: count(usage.unused_bytes),
    })
}

/// Collects from time to time, until the hub ends.
pub(crate) async fn collect_forever(hub: Hub) {
    loop {
        match clean_store(&hub, &Clean::default()).await {
            Ok(Cleaned { objects: 0, .. }) => {}
            Ok(Cleaned { objects, bytes }) => {
                tracing::info!(bytes, "removed {objects} objects that nothing needs");
            }
            Err(error) => {
                tracing::error!(error = %crate::told(error), "the store is not cleaned");
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Gives up what people began to push and did not go on with.
async fn end_silent_pushes(hub: &Hub) -> Result<(), Error> {
    let silence = Duration::from_secs(hub.config.push.silent_minutes * 60);
    pushes::end_silent(&hub.db, silence.as_secs_f64()).await?;
    let here = hub.store.all_incoming().await?;
    let known: HashSet<_> = pushes::known(&hub.db, &here).await?.into_iter().collect();
    for id in here.into_iter().filter(|id| !known.contains(id)) {
        hub.store.remove_incoming(id).await?;
    }
    Ok(())
}

async fn remove_unused(hub: &Hub, digest: Digest) -> Result<Option<i64>, Error> {
    let mut tx = hub.db.begin().await?;
    objects::lock(&mut tx, digest).await?;
    let removed = objects::delete_unused(&mut tx, digest).await?;
    if removed.is_some() {
        hub.store.remove(digest).await?;
    }
    tx.commit().await?;
    Ok(removed)
}

/// Removes what builds sent in part that will not send the rest.
async fn remove_uploads(hub: &Hub) -> Result<(), Error> {
    let begun = hub.store.begun_uploads().await?;
    let ids: Vec<_> = begun.iter().map(|(build, _)| *build).collect();
    let unfinished: HashSet<_> = builds::unfinished(&hub.db, &ids).await?;
    for (build, path) in begun {
        if !unfinished.contains(&build) {
            hub.store.remove_upload(&path).await?;
        }
    }
    Ok(())
}

/// Removes objects that have no row: a hub ended between the two.
async fn remove_strays(hub: &Hub, folder: &Path) -> Result<(), Error> {
    let found = hub.store.objects_in(folder).await?;
    let names: Vec<String> = found.iter().map(Digest::to_string).collect();
    let mut db = hub.db.acquire().await?;
    let known: HashSet<_> = objects::known(&mut db, &names).await?.into_iter().collect();
    drop(db);
    for (digest, name) in found.into_iter().zip(names) {
        if known.contains(&name) {
            continue;
        }
        let mut tx = hub.db.begin().await?;
        objects::lock(&mut tx, digest).await?;
        if objects::known(&mut tx, &[name]).await?.is_empty() {
            hub.store.remove(digest).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
