//! What every handler of the hub may use.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;

use crate::answers::Answers;
use crate::config::Config;
use crate::downloads::Downloads;
use crate::follow::Followers;
use crate::pulls::Pulls;
use crate::rates::Rates;
use crate::sign_in::Providers;
use crate::store::Store;

/// The hub: its settings, its database and its store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Settings.
    pub config: Arc<Config>,
    /// Connections to Postgres.
    pub db: PgPool,
    /// The objects of images.
    pub store: Store,
    /// Whom people sign in with, and what was last heard of them.
    pub(crate) providers: Arc<Providers>,
    /// What waits for Postgres to say that something happened.
    pub wakeups: Arc<Wakeups>,
    /// Who follows builds.
    pub(crate) followers: Followers,
    /// How often clients asked lately.
    pub(crate) rates: Arc<Rates>,
    /// What they downloaded today.
    pub(crate) downloads: Arc<Downloads>,
    /// What of that was not written down yet.
    pub(crate) pulls: Arc<Pulls>,
    /// What was answered to everybody a moment ago.
    pub(crate) answers: Arc<Answers>,
}

/// Who is woken by which `NOTIFY`.
#[derive(Debug, Default)]
pub struct Wakeups {
    /// A build may be claimed.
    pub queue: Notify,
    /// A delivery may be processed.
    pub deliveries: Notify,
}

impl Hub {
    /// A hub of these parts.
    pub fn new(config: Config, db: PgPool, store: Store) -> Self {
        Self {
            providers: Arc::new(Providers::of(&config)),
            rates: Arc::new(Rates::new(&config.rates)),
            downloads: Arc::new(Downloads::new(&config.rates)),
            pulls: Arc::default(),
            answers: Arc::new(Answers::new(Duration::from_millis(config.answers_kept_ms))),
            config: Arc::new(config),
            db,
            store,
            wakeups: Arc::default(),
            followers: Followers::default(),
        }
    }

    /// Writes down the pulls that were counted since the last time.
    pub async fn write_pulls(&self) {
        crate::pulls::write(self).await;
    }
}
