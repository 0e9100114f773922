//! Docker and OCI registries: references, credentials, manifests, layers.

use std::collections::BTreeMap;

use secrecy::SecretString;

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
