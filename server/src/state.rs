//! What every handler of the hub may use.

use std::sync::Arc;

use sqlx::PgPool;

use crate::config::Config;
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
}
