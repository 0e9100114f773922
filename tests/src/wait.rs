//! Waiting for something to become true, for a while.

use std::time::{Duration, Instant};

/// Asks `probe` until it has an answer; an error names what was waited for.
pub fn until<T>(
    what: &str,
    longest: Duration,
    mut probe: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + longest;
    while Instant::now() < end {
        if let Some(answer) = probe()? {
            return Ok(answer);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    anyhow::bail!("waited {} seconds for {what}", longest.as_secs())
}
