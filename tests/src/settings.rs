//! What `tests/run` prepared, from the environment.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// Programs, users and registries that stories use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program under test.
    pub cooperage: PathBuf,
    /// The unprivileged user that hub, worker and engine run as, when stories run as root.
    pub user: Option<String>,
    /// A user without subordinate ids.
    pub single_id_user: Option<String>,
    /// Address of the open registry, which also stands in for Docker Hub.
    pub registry: String,
    /// Address of the registry that wants a password.
    pub password_registry: String,
    /// Address of the registry that wants tokens.
    pub token_registry: String,
    /// Folder of the npm package `oidc-provider`.
    pub oidc_provider: PathBuf,
    /// The program that asks a hub what its API's description allows.
    pub schemathesis: PathBuf,
    /// Of the table of conformance, play only cases whose id contains this.
    pub only_case: Option<String>,
    /// Whether pages of the documentation that a story makes are written rather than compared.
    pub update_documents: bool,
}

impl Settings {
    /// Reads them; an error names the variable that is missing.
    pub fn from_environment() -> anyhow::Result<Self> {
        Ok(Self {
            cooperage: variable("COOPERAGE_BIN")?.into(),
            user: variable("COOPERAGE_TEST_USER").ok(),
            single_id_user: variable("COOPERAGE_TEST_SINGLE_ID_USER").ok(),
            registry: variable("COOPERAGE_TEST_REGISTRY")?,
            password_registry: variable("COOPERAGE_TEST_REGISTRY_BASIC")?,
            token_registry: variable("COOPERAGE_TEST_REGISTRY_TOKEN")?,
            oidc_provider: variable("COOPERAGE_TEST_OIDC_PROVIDER")?.into(),
            schemathesis: variable("COOPERAGE_TEST_SCHEMATHESIS")?.into(),
            only_case: variable("COOPERAGE_TEST_CASE").ok(),
            update_documents: variable("COOPERAGE_TEST_UPDATE").is_ok(),
        })
    }
}

/// The program `tests/tools/NAME`.
pub fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tools")
        .join(name)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that reads it"
)]
fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: run stories with tests/run"))
}
