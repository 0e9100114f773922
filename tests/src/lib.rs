//! The world that stories happen in: a hub with its own Postgres and worker, real registries, a
//! real git server, the real Apptainer and a real browser.
//!
//! `tests/run` sets up what needs root (packages, users, registries) and names it in environment
//! variables; everything here belongs to one story, listens on a port of its own, and ends with it.

pub mod apptainer;
pub mod bench;
pub mod browser;
pub mod client;
pub mod conformance;
pub mod http;
pub mod hub;
pub mod process;
pub mod proxy;
pub mod pull;
pub mod repository;
pub mod settings;
pub mod sif;
pub mod wait;

pub use browser::Browser;
pub use client::{Account, Client};
pub use hub::{Hub, Options};
pub use repository::{Forge, Repository};
pub use settings::Settings;
