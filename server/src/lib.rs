//! The hub: hears webhooks, finds recipes, queues builds, stores and serves images.
//!
//! It never builds an image itself: workers do, over HTTP. The line through the crate:
//! [`routes`] `webhooks` → [`db`] `deliveries` → [`scan`] → [`db`] `builds` → [`routes`] `worker`
//! → [`store`] → [`db`] `images` → [`routes`] `download`, `shub`; [`pages`] shows all of it.

mod accounts;
mod answers;
pub mod auth;
mod build_log;
mod checks;
mod clients;
pub mod collections;
pub(crate) mod collector;
pub mod config;
mod credentials;
pub(crate) mod damage;
pub mod db;
mod downloads;
pub mod error;
mod follow;
pub mod forge;
mod keyring;
mod keystore;
mod library;
mod login_limit;
pub mod on_demand;
mod openpgp;
pub mod pages;
mod passwords;
mod plan;
mod process;
pub mod publish;
mod pulls;
mod pushed;
pub mod queue;
mod rates;
mod registry;
mod remote_builds;
mod rights;
pub mod routes;
pub mod scan;
mod serve;
mod sif;
mod sign_in;
mod signers;
mod signing;
pub mod state;
pub mod store;
#[cfg(test)]
mod tests;
pub mod uploads;
mod verify;
pub mod workers;

pub use checks::{ask_check, find_check};
pub use collections::{add_collection, change_collection, remove_collection};
pub use collector::{clean_store, store_usage};
pub use config::Config;
pub use credentials::{credentials, put_credential, remove_credential};
pub use damage::check_store;
pub use error::Error;
pub use keystore::{all_keys, remove_key};
pub use on_demand::{build_on_demand, replay_delivery};
pub use queue::cancel_build;
pub use serve::serve;
pub use signing::rotate_key;
pub use state::Hub;
pub use workers::add_worker;

/// The schema, for the hub's start and for tests.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// An error with all that caused it, for the log.
fn told(error: Error) -> String {
    match error {
        Error::Internal(source) => format!("{source:#}"),
        other => other.to_string(),
    }
}
