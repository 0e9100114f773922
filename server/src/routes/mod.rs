//! Every route of the hub, by caller.

pub mod webhooks;
pub mod worker;

use axum::Router;

use crate::state::Hub;

/// All routes.
pub fn router(hub: Hub) -> Router {
    Router::new()
        .merge(crate::pages::router())
        .merge(webhooks::router())
        .merge(worker::router())
        .with_state(hub)
}
