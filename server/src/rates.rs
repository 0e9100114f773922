//! How often may a client ask? So many times a minute, and no more than that at once.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::clients::Client;
use crate::config;
use crate::error::Error;

/// Clients that are told apart; what is known of one takes about a hundred bytes.
const MOST_CLIENTS: usize = 1 << 16;

/// How often those are looked for that have not asked for a while.
const SWEEP: Duration = Duration::from_secs(1);

/// What clients asked lately.
#[derive(Debug)]
pub(crate) struct Rates {
    anonymous: Option<Rate>,
    accounts: Option<Rate>,
}

#[derive(Debug)]
struct Rate {
    per_minute: NonZeroU32,
    limiter: DefaultKeyedRateLimiter<Client>,
    swept: Mutex<Instant>,
}

impl Rates {
    /// Nobody has asked yet.
    pub(crate) fn new(settings: &config::Rates) -> Self {
        Self {
            anonymous: Rate::new(settings.anonymous_per_minute),
            accounts: Rate::new(settings.account_per_minute),
        }
    }

    /// Counts a request, unless the client has to wait for a while first.
    pub(crate) fn take(&self, client: Client) -> Result<(), Error> {
        let (rate, whose, help) = match client {
            Client::Account(_) => (&self.accounts, "of this account", ""),
            Client::Network(_) | Client::Unknown => (
                &self.anonymous,
                "from this address without an account",
                ", or send a token",
            ),
        };
        let Some(rate) = rate else { return Ok(()) };
        rate.take(client).map_err(|wait| {
            let seconds = whole_seconds(wait);
            let most = rate.per_minute;
            Error::TooMany {
                told: format!(
                    "more than {most} requests a minute {whose}: ask again in {seconds} s{help}"
                ),
                seconds,
            }
        })
    }
}

/// Who comes back then is not too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}

impl Rate {
    fn new(per_minute: u32) -> Option<Self> {
        let per_minute = NonZeroU32::new(per_minute)?;
        Some(Self {
            per_minute,
            limiter: RateLimiter::keyed(Quota::per_minute(per_minute)),
            swept: Mutex::new(Instant::now()),
        })
    }

    fn take(&self, client: Client) -> Result<(), Duration> {
        // Beyond what can be told apart, all are one.
        let client = if self.has_room() {
            client
        } else {
            Client::Unknown
        };
        let checked = self.limiter.check_key(&client);
        checked.map_err(|denied| denied.wait_time_from(self.limiter.clock().now()))
    }

    /// Forgets those whose requests do not count any more, when there are many.
    fn has_room(&self) -> bool {
        if self.limiter.len() < MOST_CLIENTS {
            return true;
        }
        if let Ok(mut swept) = self.swept.try_lock()
            && swept.elapsed() >= SWEEP
        {
            *swept = Instant::now();
            self.limiter.retain_recent();
        }
        self.limiter.len() < MOST_CLIENTS
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn client(number: u32) -> Client {
        Client::at(Some(Ipv4Addr::from_bits(number).into()))
    }

    #[test]
    fn a_client_that_asked_too_often_waits_and_no_other() {
        let rate = Rate::new(2).unwrap();

        let first = [1, 1, 1].map(|number| rate.take(client(number)).is_ok());
        let other = rate.take(client(2));
        let wait = rate.take(client(1)).unwrap_err();

        assert_eq!(first, [true, true, false]);
        assert!(other.is_ok());
        assert!(wait <= Duration::from_secs(30), "{wait:?}");
    }

    #[test]
    fn what_is_known_of_clients_has_an_end() {
        let rate = Rate::new(1).unwrap();
        let many = u32::try_from(2 * MOST_CLIENTS).unwrap();

        let taken = (0..many).filter(|number| rate.take(client(*number)).is_ok());

        assert_eq!(taken.count(), MOST_CLIENTS + 1);
        assert!(rate.limiter.len() <= MOST_CLIENTS + 1);
    }
}
