//! What the downloads of one image may take together.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, FailureKind};

/// The bytes that are left of a limit, for all who download at the same time.
#[derive(Debug)]
pub(super) struct Budget {
    most: u64,
    left: AtomicU64,
}

impl Budget {
    /// Without a limit there is always enough.
    pub(super) fn new(most: Option<u64>) -> Self {
        let most = most.unwrap_or(u64::MAX);
        let left = AtomicU64::new(most);
        Self { most, left }
    }

    /// Whether there is room for what is announced; `what` is for the message.
    pub(super) fn check(&self, bytes: u64, what: &str) -> Result<(), Error> {
        if bytes <= self.left.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(self.exceeded(what))
    }

    /// Takes what came.
    pub(super) fn take(&self, bytes: u64, what: &str) -> Result<(), Error> {
        let less = |left: u64| left.checked_sub(bytes);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.map(drop).map_err(|_| self.exceeded(what))
    }

    /// Gives back what was thrown away.
    pub(super) fn give_back(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }

    fn exceeded(&self, what: &str) -> Error {
        Error::Limit {
            kind: FailureKind::Disk,
            message: format!(
                "with {what} the base takes more than the disk limit of {} bytes",
                self.most
            ),
            section: None,
        }
    }
}
