//! Renews the lease until the attempt ends, and stops the build when that is no longer possible.

use std::time::{Duration, Instant};

use cooperage_protocol::worker;
use reqwest::Method;

use crate::attempt::Attempt;
use crate::backoff::Backoff;
use crate::hub::{CallError, away, send};
use crate::lease::Stop;

/// A cancelled build should not run on for long only because its lease is long.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Runs until the lease is lost; dropped when the attempt ends.
pub(crate) async fn keep_alive(attempt: &Attempt, given: worker::Lease) {
    let mut interval = interval(given);
    let mut pause = interval;
    let mut backoff = Backoff::up_to(interval);
    loop {
        tokio::time::sleep(pause.min(attempt.lease.remaining())).await;
        let asked = Instant::now();
        match tokio::time::timeout(interval, beat(attempt)).await {
            Ok(Ok(renewed)) => {
                attempt.lease.renew(renewed, asked);
                if renewed.cancel {
                    attempt.lease.stop(Stop::Cancelled);
                }
                interval = self::interval(renewed);
                pause = interval;
                backoff = Backoff::up_to(interval);
            }
            Ok(Err(CallError::LeaseLost | CallError::Unauthorized)) => {
                return attempt.lease.stop(Stop::Lost);
            }
            Ok(Err(CallError::Away(_) | CallError::Refused { .. })) | Err(_) => {
                if attempt.lease.remaining().is_zero() {
                    return attempt.lease.stop(Stop::Lost);
                }
                pause = backoff.next_delay();
            }
        }
    }
}

fn interval(lease: worker::Lease) -> Duration {
    (Duration::from_secs(lease.seconds) / 3).min(LONGEST_PAUSE)
}

async fn beat(attempt: &Attempt) -> Result<worker::Lease, CallError> {
    let response = send(attempt.request(Method::POST, "heartbeat")).await?;
    response.json().await.map_err(|error| away(&error))
}
