//! How much may be downloaded today? So many bytes by each client, and of each collection.
//!
//! A download that begins within its budget is finished. What its client did not take is given back.
//! The counts are kept in memory: a hub that starts anew begins a new day.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::Response;
use chrono::Utc;
use cooperage_protocol::{CollectionId, Digest};
use futures_util::StreamExt as _;

use crate::clients::Client;
use crate::config::Rates;
use crate::error::Error;

const DAY: i64 = 24 * 60 * 60;

/// Clients, or collections, that are told apart.
const MOST: usize = 1 << 16;

/// What the bytes of a response are; handlers put it into its extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    /// The file.
    pub(crate) digest: Digest,
    /// Where in the file they begin.
    pub(crate) from: u64,
    /// How many they are.
    pub(crate) bytes: u64,
    /// How many the file has.
    pub(crate) size: u64,
}

/// What was downloaded today, as far as there are budgets.
#[derive(Debug)]
pub(crate) struct Downloads {
    clients: Option<Budget<Client>>,
    collections: Option<Budget<CollectionId>>,
}

impl Downloads {
    /// Nothing was downloaded yet.
    pub(crate) fn new(settings: &Rates) -> Self {
        Self {
            clients: Budget::new(settings.client_mib_per_day),
            collections: Budget::new(settings.collection_mib_per_day),
        }
    }

    /// Lets a response out within the budgets of its client and of its collection.
    pub(crate) fn charge(
        self: &Arc<Self>,
        (client, collection): (Client, CollectionId),
        served: Served,
        response: Response,
    ) -> Result<Response, Error> {
        if self.clients.is_none() && self.collections.is_none() {
            return Ok(response);
        }
        let now = Utc::now().timestamp();
        let exhausted = |what: &str, most: u64| {
            let seconds = u64::try_from(DAY - now % DAY).unwrap_or(1);
            Error::TooMany {
                told: format!(
                    "{what} today, and the hub allows {} MiB a day: ask again in {seconds} s",
                    most >> 20
                ),
                seconds,
            }
        };
        let mut receipt = Receipt {
            downloads: Arc::clone(self),
            day: now / DAY,
            client: None,
            collection: None,
            left: served.bytes,
        };
        if let Some(budget) = &self.clients {
            let taken = budget.take(receipt.day, client, served.bytes);
            taken.map_err(|most| exhausted("you downloaded much", most))?;
            receipt.client = Some(client);
        }
        if let Some(budget) = &self.collections {
            let taken = budget.take(receipt.day, collection, served.bytes);
            taken.map_err(|most| exhausted("much of this collection was downloaded", most))?;
            receipt.collection = Some(collection);
        }
        Ok(receipt.follow(response))
    }
}

/// What a download took of budgets, and has not sent yet: it is given back at its end.
struct Receipt {
    downloads: Arc<Downloads>,
    day: i64,
    client: Option<Client>,
    collection: Option<CollectionId>,
    left: u64,
}

impl Receipt {
    fn follow(mut self, response: Response) -> Response {
        response.map(|body| {
            let followed = body.into_data_stream().inspect(move |sent| {
                self.note(sent.as_ref().map_or(0, |bytes| bytes.len() as u64));
            });
            Body::from_stream(followed)
        })
    }

    fn note(&mut self, sent: u64) {
        self.left = self.left.saturating_sub(sent);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let (Some(budget), Some(client)) = (&self.downloads.clients, self.client) {
            budget.give_back(self.day, client, self.left);
        }
        if let (Some(budget), Some(collection)) = (&self.downloads.collections, self.collection) {
            budget.give_back(self.day, collection, self.left);
        }
    }
}

#[derive(Debug)]
struct Budget<K> {
    most: u64,
    today: Mutex<Day<K>>,
}

/// The bytes of a day, counted from 1970 on.
#[derive(Debug)]
struct Day<K> {
    number: i64,
    taken: HashMap<K, u64>,
}

impl<K: Copy + Eq + Hash> Budget<K> {
    fn new(mib: u64) -> Option<Self> {
        let today = Mutex::new(Day {
            number: 0,
            taken: HashMap::new(),
        });
        let most = mib << 20;
        (most > 0).then_some(Self { most, today })
    }

    /// Takes bytes as long as anything is left: nothing that is larger than the budget could be
    /// downloaded otherwise. Where nothing is left, how much there was.
    fn take(&self, day: i64, key: K, bytes: u64) -> Result<(), u64> {
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if today.number != day {
            today.number = day;
            today.taken.clear();
        }
        if today.taken.len() >= MOST && !today.taken.contains_key(&key) {
            today.forget_who_took_least();
        }
        let taken = today.taken.entry(key).or_default();
        if *taken >= self.most {
            return Err(self.most);
        }
        *taken = taken.saturating_add(bytes);
        Ok(())
    }

    fn give_back(&self, day: i64, key: K, bytes: u64) {
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if today.number != day {
            return;
        }
        if let Some(taken) = today.taken.get_mut(&key) {
            *taken = taken.saturating_sub(bytes);
        }
    }
}

impl<K: Copy + Eq + Hash> Day<K> {
    /// Forgets at least half of them.
    fn forget_who_took_least(&mut self) {
        let mut taken: Vec<u64> = self.taken.values().copied().collect();
        let middle = taken.len() / 2;
        let (_, median, _) = taken.select_nth_unstable(middle);
        let median = *median;
        self.taken.retain(|_, taken| *taken > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_download_costs_what_its_client_took() {
        let settings = Rates {
            client_mib_per_day: 1,
            ..Rates::default()
        };
        let downloads = Arc::new(Downloads::new(&settings));
        let served = Served {
            digest: Digest::of(b"image"),
            from: 0,
            bytes: 1 << 20,
            size: 1 << 20,
        };
        let payers = (Client::Unknown, CollectionId::generate());
        let ask = || downloads.charge(payers, served, Response::new(vec![7; 1 << 20].into()));

        drop(ask().unwrap());
        let taken = axum::body::to_bytes(ask().unwrap().into_body(), usize::MAX).await;
        let refused = ask().unwrap_err().to_string();

        assert_eq!(taken.unwrap().len(), 1 << 20);
        assert!(refused.contains("1 MiB a day"), "{refused}");
    }

    #[test]
    fn a_day_has_a_budget_of_its_own() {
        let budget = Budget::new(1).unwrap();

        assert_eq!(budget.take(1, 'a', 3 << 20), Ok(()));
        assert_eq!(budget.take(1, 'a', 1), Err(1 << 20));
        assert_eq!(budget.take(1, 'b', 1), Ok(()));
        assert_eq!(budget.take(2, 'a', 1), Ok(()));
    }

    #[test]
    fn what_was_not_taken_is_given_back() {
        let budget = Budget::new(1).unwrap();
        budget.take(1, 'a', 3 << 20).unwrap();

        budget.give_back(1, 'a', 5 << 19);

        assert_eq!(budget.take(1, 'a', 1 << 19), Ok(()));
        assert_eq!(budget.take(1, 'a', 1), Err(1 << 20));
    }

    #[test]
    fn those_who_took_least_are_forgotten_first() {
        let budget = Budget::new(1).unwrap();
        budget.take(1, 0, 1 << 20).unwrap();
        for key in 1..=2 * MOST {
            budget.take(1, key, 1).unwrap();
        }

        assert_eq!(budget.take(1, 0, 1), Err(1 << 20));
        assert!(budget.today.lock().unwrap().taken.len() <= MOST);
    }
}
