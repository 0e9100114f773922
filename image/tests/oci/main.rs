//! Registries as they behave on good and bad days, played by a small server.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking, as the test does"
)]

mod check;
mod credentials;
mod documents;
mod engine;
mod fetching;
mod limits;
mod server;
mod world;
