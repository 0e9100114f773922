//! Which objects of the store are not what they should be, and which images need them?
//!
//! Disks forget. All bytes are read again when somebody asks, some of them with each call. What is
//! damaged is laid aside: rather no image than a wrong one, and the next build that offers the object
//! is asked for its bytes.

use std::time::{Duration, Instant};

use cooperage_protocol::Digest;
use cooperage_protocol::admin::{CheckStore, CheckedStore, Damage, DamagedObject, ImageInNeed};

use crate::db::objects;
use crate::error::Error;
use crate::state::Hub;

/// How long a call reads on, but for its last object.
const LONGEST: Duration = Duration::from_secs(20);

/// Objects that are listed at once.
const LISTED: i64 = 100;

/// Reads objects again, in the order of their names, and says which are damaged.
pub async fn check_store(hub: &Hub, from: &CheckStore) -> Result<CheckedStore, Error> {
    check_for(hub, from, LONGEST).await
}

pub(crate) async fn check_for(
    hub: &Hub,
    from: &CheckStore,
    longest: Duration,
) -> Result<CheckedStore, Error> {
    let began = Instant::now();
    let mut checked = CheckedStore::default();
    let mut last = from.after;
    loop {
        let listed = objects::after(&hub.db, last, LISTED).await?;
        if listed.is_empty() {
            return Ok(checked);
        }
        for (name, size) in listed {
            let digest = name.parse().map_err(anyhow::Error::from)?;
            if let Some(damage) = find_damage(hub, digest).await? {
                checked.damaged.push(tell(hub, digest, damage).await?);
            }
            checked.objects += 1;
            checked.bytes += u64::try_from(size).unwrap_or_default();
            last = Some(digest);
            if began.elapsed() >= longest {
                checked.next = last;
                return Ok(checked);
            }
        }
    }
}

/// What is wrong with an object. It is read once more when nobody else may send or remove it.
async fn find_damage(hub: &Hub, digest: Digest) -> Result<Option<Damage>, Error> {
    if hub.store.find_damage(digest).await?.is_none() {
        return Ok(None);
    }
    let mut tx = hub.db.begin().await?;
    objects::lock(&mut tx, digest).await?;
    let is_known = !objects::known(&mut tx, &[digest.to_string()])
        .await?
        .is_empty();
    let damage = if is_known {
        hub.store.find_damage(digest).await?
    } else {
        None
    };
    if damage == Some(Damage::Changed) {
        hub.store.lay_aside(digest).await?;
    }
    tx.commit().await?;
    Ok(damage)
}

async fn tell(hub: &Hub, digest: Digest, damage: Damage) -> Result<DamagedObject, Error> {
    tracing::error!(?damage, "object {digest} of the store is damaged");
    let rows = objects::images_of(&hub.db, digest).await?;
    let images = rows.into_iter().map(|row| {
        Ok(ImageInNeed {
            collection: row.collection.parse()?,
            digest: row.digest.parse()?,
            tags: row.tags.iter().filter_map(|tag| tag.parse().ok()).collect(),
        })
    });
    let images: anyhow::Result<_> = images.collect();
    Ok(DamagedObject {
        digest,
        damage,
        images: images?,
    })
}
