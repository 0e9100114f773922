//! Ends a build when its caller or its time limit says so, whatever it is doing.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::Cancel;
use crate::error::{Error, FailureKind};

/// What every step of a build looks at to know whether to go on.
#[derive(Debug)]
pub(super) struct Watch {
    /// Stops with the caller's, and when the time is over.
    pub(super) cancel: Cancel,
    caller: Cancel,
    time: Option<Duration>,
}

impl Watch {
    /// Does the work under the caller's eyes and the clock's.
    pub(super) fn over<T>(
        caller: &Cancel,
        time: Option<Duration>,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let watch = Self {
            cancel: caller.part(),
            caller: caller.clone(),
            time,
        };
        let (finished, until_finished) = mpsc::channel::<()>();
        let result = thread::scope(|scope| {
            let cancel = &watch.cancel;
            if let Some(time) = time {
                scope.spawn(move || {
                    if until_finished.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                        cancel.cancel();
                    }
                });
            }
            let result = work(&watch);
            drop(finished);
            result
        });
        result.map_err(|error| watch.explain(error, None))
    }

    /// Whether to go on.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    /// What stopped a step that was cancelled: its caller, or the time, and in which section.
    pub(super) fn explain(&self, error: Error, section: Option<&str>) -> Error {
        match error {
            Error::Cancelled if !self.caller.is_cancelled() => too_late(self.time, section),
            error => error,
        }
    }
}

fn too_late(time: Option<Duration>, section: Option<&str>) -> Error {
    let limit = time.unwrap_or_default().as_secs();
    let place = section.map_or_else(String::new, |section| format!("%{section}: "));
    Error::Limit {
        kind: FailureKind::Time,
        message: format!("{place}time limit of {limit} s for the whole build is over"),
        section: section.map(ToOwned::to_owned),
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
    fn a_section_that_takes_too_long_is_named() {
        let limit = Some(Duration::from_millis(50));
        let post = |watch: &Watch| {
            let ended = wait(watch);
            ended.map_err(|error| watch.explain(error, Some("post")))
        };

        let error = Watch::over(&Cancel::default(), limit, post).unwrap_err();

        assert!(matches!(error, Error::Limit { section: Some(section), .. } if section == "post"));
    }

    #[test]
    fn a_cancelled_build_is_cancelled_and_not_late() {
        let caller = Cancel::default();
        caller.cancel();

        let error = Watch::over(&caller, None, wait).unwrap_err();

        assert_eq!(error.kind(), FailureKind::Cancelled);
    }
}
