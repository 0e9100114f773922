//! Which downloads count as pulls, and when is that written down? A pull itself waits for no write:
//! counts are gathered, and written together every few seconds and at the hub's end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cooperage_protocol::{CollectionId, Digest};

use crate::db::pulls::{self, Seen};
use crate::downloads::Served;
use crate::state::Hub;

const PERIOD: Duration = Duration::from_secs(5);

/// Who asks for less of a file's beginning looks at what it is; every SIF's head is longer.
const SHORTEST: u64 = 4096;

/// Pulls that are not written down yet.
#[derive(Debug, Default)]
pub(crate) struct Pulls(Mutex<HashMap<(CollectionId, Digest), i64>>);

impl Pulls {
    /// Counts what begins with the file's beginning: whoever fetches a file in parts, or goes on with
    /// one, asks for that once.
    pub(crate) fn count(&self, collection: CollectionId, served: Served) {
        if served.from > 0 || served.bytes < served.size.min(SHORTEST) {
            return;
        }
        self.add((collection, served.digest), 1);
    }

    fn add(&self, what: (CollectionId, Digest), count: i64) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting.entry(what).or_default() += count;
    }

    fn take(&self) -> HashMap<(CollectionId, Digest), i64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes down what was counted, again and again.
pub(crate) async fn write_forever(hub: Hub) {
    loop {
        tokio::time::sleep(PERIOD).await;
        write(&hub).await;
    }
}

/// Writes down what was counted; what cannot be written now is kept for the next time.
pub(crate) async fn write(hub: &Hub) {
    let waiting = hub.pulls.take();
    if waiting.is_empty() {
        return;
    }
    let seen = waiting.iter().map(|((collection, digest), count)| Seen {
        collection: collection.0,
        digest: digest.to_string(),
        count: *count,
    });
    let seen: Vec<_> = seen.collect();
    if let Err(error) = pulls::add(&hub.db, &seen).await {
        tracing::warn!(error = %error, "pulls cannot be counted now");
        for (what, count) in waiting {
            hub.pulls.add(what, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_begins_with_the_beginning() {
        let pulls = Pulls::default();
        let collection = CollectionId::generate();
        let served = |from, bytes, size| Served {
            digest: Digest::of(b"image"),
            from,
            bytes,
            size,
        };

        for (from, bytes, size) in [
            (0, 1 << 20, 1 << 20),
            (0, 5000, 1 << 20),
            (0, 3, 3),
            (0, 1, 1 << 20),
            (5000, 1 << 19, 1 << 20),
        ] {
            pulls.count(collection, served(from, bytes, size));
        }

        assert_eq!(pulls.take().into_values().collect::<Vec<_>>(), [3]);
        assert!(pulls.take().is_empty());
    }
}
