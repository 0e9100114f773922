//! Every route of the hub, by caller.

use axum::Router;

use crate::state::Hub;

/// All routes.
pub fn router(hub: Hub) -> Router {
    Router::new().merge(crate::pages::router()).with_state(hub)
}
