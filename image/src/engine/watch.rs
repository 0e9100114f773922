//! Ends a build when its caller or its time limit says so, whatever it is doing.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::Cancel;
use crate::error::{Error, FailureKind};

const TICK: Duration = Duration::from_millis(100);

/// What every step of a build looks at to know whether to go on.
#[derive(Debug)]
pub(super) struct Watch {
    /// Set by the caller's request, and when the time is over.
    pub(super) cancel: Cancel,
    /// When the time is over.
    pub(super) deadline: Option<Instant>,
}

impl Watch {
    /// Does the work under the caller's eyes and the clock's.
    pub(super) fn over<T>(
        caller: &Cancel,
        time: Option<Duration>,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let deadline = time.map(|time| Instant::now() + time);
        let watch = Self {
            cancel: Cancel::default(),
            deadline,
        };
        let (finished, until_finished) = mpsc::channel();
        let result = thread::scope(|scope| {
            let watch = &watch;
            scope.spawn(move || watch.keep(caller, &until_finished));
            let result = work(watch);
            drop(finished);
            result
        });
        match result {
            Err(Error::Cancelled) if !caller.is_cancelled() => Err(too_late(time)),
            result => result,
        }
    }

    /// Whether to go on.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    fn keep(&self, caller: &Cancel, until_finished: &mpsc::Receiver<()>) {
        while until_finished.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            let is_late = self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline);
            if is_late || caller.is_cancelled() {
                self.cancel.cancel();
            }
        }
    }
}

fn too_late(time: Option<Duration>) -> Error {
    let limit = time.unwrap_or_default().as_secs();
    Error::Limit {
        kind: FailureKind::Time,
        message: format!("time limit of {limit} s for the whole build is over"),
        section: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(watch: &Watch) -> Result<(), Error> {
        for _ in 0..100 {
            watch.check()?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    #[test]
    fn a_build_that_takes_too_long_fails_for_its_time() {
        let limit = Some(Duration::from_millis(50));

        let error = Watch::over(&Cancel::default(), limit, wait).unwrap_err();

        assert_eq!(error.kind(), FailureKind::Time);
    }

    #[test]
    fn a_cancelled_build_is_cancelled_and_not_late() {
        let caller = Cancel::default();
        caller.cancel();

        let error = Watch::over(&caller, None, wait).unwrap_err();

        assert_eq!(error.kind(), FailureKind::Cancelled);
    }
}
