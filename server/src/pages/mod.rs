//! What people see, one struct and one template per page.

use axum::Router;

use crate::state::Hub;

/// The pages' routes.
pub fn router() -> Router<Hub> {
    Router::new()
}
