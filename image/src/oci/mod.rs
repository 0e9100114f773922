//! Docker and OCI registries: references, credentials, manifests, layers.
//!
//! [`fetch()`] is the way in: a [`Reference`] and a [`Platform`] become a [`FetchedImage`], whose
//! layers lie in the cache with verified digests.
//!
//! See the OCI distribution specification and the registry token authentication specification.

mod accounts;
mod blob;
mod cache;
mod challenge;
mod client;
mod config;
mod digest;
mod endpoint;
mod error;
mod fetch;
mod manifest;
mod platform;
mod reference;

use std::collections::BTreeMap;

use secrecy::SecretString;

pub use accounts::{Accounts, HeaderAccount};
pub(crate) use client::{Patience, install_tls, is_passing};
pub use config::ImageConfig;
pub use digest::Digest;
pub use fetch::{Fetch, FetchedImage, LayerBlob, fetch, resolve};
pub use platform::Platform;
pub use reference::{Reference, ReferenceError, Version};

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
}
