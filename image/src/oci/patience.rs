//! How often and how long something is tried again.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::RETRY_AFTER;

use crate::engine::Cancel;
use crate::error::Error;

/// The tries that are left, and the pause before the next.
#[derive(Debug)]
pub(crate) struct Patience {
    tries: u32,
    pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 4,
            pause: Duration::from_millis(250),
        }
    }
}

impl Patience {
    const LONGEST: Duration = Duration::from_mins(1);

    /// Waits before the next try, as long as the server `asked` at least. `None` means that there
    /// is none.
    pub(crate) fn wait(
        &mut self,
        asked: Option<Duration>,
        cancel: &Cancel,
    ) -> Result<Option<()>, Error> {
        if self.tries == 0 || asked.is_some_and(|asked| asked > Self::LONGEST) {
            return Ok(None);
        }
        self.tries -= 1;
        let until = Instant::now() + asked.unwrap_or(self.pause).max(self.pause);
        self.pause *= 2;
        while Instant::now() < until {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Some(()))
    }
}

/// Whether another try may be answered otherwise.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The seconds of `Retry-After`; registries do not send its other form, a date.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
