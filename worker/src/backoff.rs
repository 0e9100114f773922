//! How long to wait before a call is repeated.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);

/// Delays that double up to a ceiling, each shortened by chance so that workers do not call at
/// the same moment after a restart of the hub.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    ceiling: Duration,
}

impl Backoff {
    pub(crate) fn up_to(ceiling: Duration) -> Self {
        Self {
            next: FIRST.min(ceiling),
            ceiling,
        }
    }

    pub(crate) fn next_delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.ceiling);
        delay.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_ceiling_and_not_beyond() {
        let mut backoff = Backoff::up_to(Duration::from_secs(1));

        let delays: Vec<_> = (0..20).map(|_| backoff.next_delay()).collect();

        assert!(delays[0] <= FIRST);
        assert!(delays[19] >= Duration::from_millis(500));
        assert!(delays.iter().all(|delay| *delay <= Duration::from_secs(1)));
    }
}
