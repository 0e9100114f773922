//! Whether the build is still this worker's, and whether it should go on.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cooperage_image::Cancel;
use cooperage_protocol::worker;
use tokio::sync::watch;

/// Why a build is stopped before its end. A later reason counts more than an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Somebody cancelled it: it is finished as cancelled.
    Cancelled,
    /// The worker shuts down: the build is handed back.
    Shutdown,
    /// The hub may have given it to another worker: nothing more is said about it.
    Lost,
}

/// The lease of one attempt, shared by everything that works on it.
#[derive(Debug)]
pub(crate) struct Lease {
    ends: Mutex<Instant>,
    stop: watch::Sender<Option<Stop>>,
    engine: Cancel,
}

impl Lease {
    /// A lease that was given at `asked`.
    pub(crate) fn new(given: worker::Lease, asked: Instant) -> Self {
        let ends = Mutex::new(asked + Duration::from_secs(given.seconds));
        Self {
            ends,
            stop: watch::Sender::new(None),
            engine: Cancel::default(),
        }
    }

    /// The switch that stops the engine when the attempt is stopped.
    pub(crate) fn engine(&self) -> &Cancel {
        &self.engine
    }

    /// Counts from when the question was sent: the hub's own count can only end later.
    pub(crate) fn renew(&self, given: worker::Lease, asked: Instant) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends = asked + Duration::from_secs(given.seconds);
    }

    pub(crate) fn remaining(&self) -> Duration {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.saturating_duration_since(Instant::now())
    }

    pub(crate) fn stop(&self, reason: Stop) {
        self.stop.send_if_modified(|current| {
            let counts_more = current.is_none_or(|current| reason > current);
            if counts_more {
                *current = Some(reason);
            }
            counts_more
        });
        self.engine.cancel();
    }

    /// The reason to stop, when there is one already.
    pub(crate) fn stop_reason(&self) -> Option<Stop> {
        *self.stop.borrow()
    }

    /// Waits for any reason to stop.
    pub(crate) async fn stopped(&self) -> Stop {
        self.reached(Stop::Cancelled).await
    }

    /// Waits until the worker shuts down, or worse.
    pub(crate) async fn shutdown(&self) {
        self.reached(Stop::Shutdown).await;
    }

    /// Waits until the lease is lost.
    pub(crate) async fn lost(&self) {
        self.reached(Stop::Lost).await;
    }

    async fn reached(&self, least: Stop) -> Stop {
        let mut changes = self.stop.subscribe();
        match changes
            .wait_for(|stop| stop.is_some_and(|stop| stop >= least))
            .await
        {
            Ok(stop) => stop.unwrap_or(Stop::Lost),
            Err(_) => Stop::Lost,
        }
    }
}
