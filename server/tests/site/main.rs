//! The hub as browsers and clients see it: its real router over a real database and real files.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "this is a program of tests, not a library"
)]

mod accounts;
mod admin;
mod answers;
mod api;
mod credentials;
mod diagnostics;
mod events;
mod keystore;
mod library;
mod pages;
mod protocols;
mod pull_counts;
mod pulls;
mod rates;
mod registry;
mod remote_builds;
mod settings;
mod support;
