//! How often may a password be tried? By name and address, so that nobody shuts out somebody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clients::Client;
use crate::error::Error;

const BY_NAME_AND_ADDRESS: usize = 10;
const BY_ADDRESS: usize = 50;
const CHECKS_AT_ONCE: usize = 2;

/// Remembers failed logins, so that passwords cannot be tried by the thousand.
#[derive(Debug, Clone)]
pub(crate) struct LoginLimit {
    failures: Arc<Mutex<HashMap<Key, Vec<Instant>>>>,
    /// Checking a password takes memory on purpose: many at once would take all there is.
    checks: Arc<Semaphore>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    client: Client,
    /// Absent in the count of all names.
    name: Option<String>,
}

impl Default for LoginLimit {
    fn default() -> Self {
        Self {
            failures: Arc::default(),
            checks: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
        }
    }
}

/// Leave to try a password.
pub(crate) struct Attempt<'a> {
    limit: &'a LoginLimit,
    keys: [Key; 2],
    _turn: SemaphorePermit<'a>,
}

impl LoginLimit {
    /// Waits for a turn to try a password. Also those who come at the same time wait here, so that
    /// the limit counts for them.
    pub(crate) async fn attempt(&self, name: &str, address: &str) -> Result<Attempt<'_>, Error> {
        let turn = self.checks.acquire().await.map_err(anyhow::Error::from)?;
        let client = Client::at(address.parse().ok());
        let keys = [Some(name.to_owned()), None].map(|name| Key { client, name });
        if self.is_reached(&keys) {
            return Err(Error::Unauthorized(
                "too many wrong passwords; wait a minute",
            ));
        }
        Ok(Attempt {
            limit: self,
            keys,
            _turn: turn,
        })
    }

    fn is_reached(&self, keys: &[Key; 2]) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, times| {
            times.retain(|time| time.elapsed() < Duration::from_mins(1));
            !times.is_empty()
        });
        let count = |key| failures.get(key).map_or(0, Vec::len);
        count(&keys[0]) >= BY_NAME_AND_ADDRESS || count(&keys[1]) >= BY_ADDRESS
    }
}

impl Attempt<'_> {
    /// Remembers that the password was wrong.
    pub(crate) fn failed(self) {
        let failures = self.limit.failures.lock();
        let mut failures = failures.unwrap_or_else(PoisonError::into_inner);
        for key in self.keys {
            failures.entry(key).or_default().push(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wrong_passwords_from_one_address_shut_out_nobody_elsewhere() {
        let limit = LoginLimit::default();
        for _ in 0..BY_NAME_AND_ADDRESS {
            limit.attempt("admin", "192.0.2.1").await.unwrap().failed();
        }

        assert!(limit.attempt("admin", "192.0.2.1").await.is_err());
        assert!(limit.attempt("admin", "192.0.2.2").await.is_ok());
        assert!(limit.attempt("other", "192.0.2.1").await.is_ok());
    }

    #[tokio::test]
    async fn many_names_from_one_network_are_too_many() {
        let limit = LoginLimit::default();
        for number in 0..BY_ADDRESS {
            let address = format!("2001:db8::{number:x}");
            let attempt = limit.attempt(&format!("name{number}"), &address).await;
            attempt.unwrap().failed();
        }

        assert!(limit.attempt("fresh", "2001:db8::ffff").await.is_err());
        assert!(limit.attempt("fresh", "2001:db9::1").await.is_ok());
    }
}
