//! The hub: hears webhooks, finds recipes, queues builds, stores and serves images.
//!
//! It never builds an image itself: workers do, over HTTP. The line through the crate:
//! [`routes`] `webhooks` → [`db`] `deliveries` → [`scan`] → [`db`] `builds` → [`routes`] `worker`
//! → [`store`] → [`db`] `images` → [`routes`] `download`, `shub`; [`pages`] shows all of it.

pub mod actions;
pub mod auth;
pub mod config;
pub mod db;
pub mod error;
pub mod pages;
pub mod routes;
pub mod state;
pub mod store;

pub use config::Config;
pub use error::Error;
pub use state::Hub;

/// The schema, for the hub's start and for tests.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");
