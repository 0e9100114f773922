//! Every route of the hub, by caller.

mod admin;
mod conditional;
mod download;
mod events;
mod health;
mod library;
mod login;
mod oci;
mod shub;
mod static_files;
pub mod webhooks;
pub mod worker;

use axum::Router;

pub(crate) use download::{explain_missing, parse_collection};
pub(crate) use events::find_build;

use crate::error::Error;
use crate::state::Hub;

/// All routes.
pub fn router(hub: Hub) -> Router {
    Router::new()
        .merge(admin::router())
        .merge(download::router())
        .merge(events::router())
        .merge(health::router())
        .merge(library::router())
        .merge(login::router())
        .merge(oci::router())
        .merge(shub::router())
        .merge(static_files::router())
        .merge(webhooks::router())
        .merge(worker::router())
        .merge(crate::pages::router())
        .fallback(async || Error::NotFound("there is nothing at this address".to_owned()))
        .layer(axum::middleware::from_fn_with_state(
            hub.clone(),
            crate::pages::show_errors,
        ))
        .layer(axum::middleware::map_response(
            crate::pages::add_security_headers,
        ))
        .with_state(hub)
}
