//! Every route of the hub, by caller.

mod accounts;
mod admin;
pub(crate) mod api;
mod builds;
mod conditional;
pub(crate) mod described;
mod download;
mod events;
mod health;
mod images;
mod keys;
mod keystore;
mod library;
mod library_push;
mod login;
mod oci;
mod oci_push;
mod paging;
mod registries;
mod remote_builds;
mod shub;
mod static_files;
pub mod webhooks;
pub mod worker;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use tower_http::csrf::CsrfLayer;

pub(crate) use download::{explain_missing, parse_collection};
pub(crate) use events::find_build;
pub(crate) use library::collection_of as library_collection;
pub(crate) use login::{At, keep_session, own_page, set_cookie};
pub(crate) use shub::collection_of as shub_collection;

use crate::error::Error;
use crate::state::Hub;

/// All routes.
pub fn router(hub: Hub) -> Router {
    Router::new()
        .merge(api::router())
        .merge(download::router())
        .merge(events::router())
        .merge(health::router())
        .merge(keystore::router())
        .merge(library::router())
        .merge(library_push::router())
        .merge(login::router())
        .merge(oci::router())
        .merge(oci_push::router())
        .merge(remote_builds::router())
        .merge(shub::router())
        .merge(static_files::router())
        .merge(webhooks::router())
        .merge(worker::router())
        .merge(crate::pages::router())
        .fallback(async || Error::NotFound("there is nothing at this address".to_owned()))
        .layer(from_fn_with_state(hub.clone(), crate::rights::guard))
        .layer(CsrfLayer::new())
        .layer(from_fn_with_state(hub.clone(), crate::pages::show_errors))
        .layer(map_response(crate::pages::add_security_headers))
        .with_state(hub)
}
