//! Docker and OCI registries: references, credentials, manifests, layers.
//!
//! [`fetch()`] is the way in: a [`Reference`] and a [`Platform`] become a [`FetchedImage`], whose
//! layers lie in the cache with verified digests.
//!
//! See the OCI distribution specification and the registry token authentication specification.

mod accounts;
mod archive;
mod artifact;
mod blob;
mod budget;
mod cache;
mod challenge;
pub mod check;
mod client;
mod config;
mod daemon;
mod digest;
mod endpoint;
mod error;
mod fetch;
mod helper;
mod layout;
mod login;
mod manifest;
mod patience;
mod platform;
pub(crate) mod redirect;
mod reference;
mod saved;
mod schema1;
mod stored;
mod transport;

use std::collections::BTreeMap;

use secrecy::SecretString;

pub use accounts::{Accounts, HeaderAccount};
pub use archive::{Archive, Surroundings};
pub use artifact::{FetchedSif, fetch_sif};
pub use check::{Check, Checked, check};
pub(crate) use client::install_tls;
pub use config::ImageConfig;
pub use daemon::save_from_engine;
pub use digest::Digest;
pub use fetch::{Fetch, FetchedImage, LayerBlob, fetch, resolve};
pub use layout::{Which, open_layout};
pub(crate) use patience::{Patience, is_passing};
pub use platform::Platform;
pub use reference::{Reference, ReferenceError, Version};
pub use saved::open_saved;
pub use stored::{LayerReader, Store, StoredImage, StoredLayer};

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// Base URLs asked instead of a registry, by its name (`docker.io` → `http://127.0.0.1:5000`).
    pub mirrors: BTreeMap<String, String>,
    /// Hosts (`host` or `host:port`) spoken to over plain http. Loopback addresses always are.
    pub plain_http: Vec<String>,
}

/// The account a caller gives for the registry of the definition's base.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// User name and password from the command line or the environment.
    pub account: Option<(String, SecretString)>,
    /// Where they come from, in words that follow "from"; for messages.
    pub source: Option<String>,
}
