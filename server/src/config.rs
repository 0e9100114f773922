//! The hub's settings: read once, checked, and documented in `deploy/cooperage.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

/// Settings of the hub. Every field is a key of the settings file of the same name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of the hub's objects, repositories and secrets.
    pub data: PathBuf,
    /// Postgres: `postgres://user@host/name`, or `postgres:///name?host=/socket/folder`.
    pub database_url: String,
    /// Addresses to listen on.
    #[serde(default = "default_listen")]
    pub listen: Vec<SocketAddr>,
    /// The hub's address as clients know it, without a trailing slash.
    pub public_url: Url,
    /// How long a worker has a build before it must renew its lease, in seconds.
    #[serde(default = "default_lease_seconds")]
    pub lease_seconds: u32,
    /// How often a build is attempted before it fails as `worker-lost`.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
    /// What a build may use.
    #[serde(default)]
    pub limits: BuildLimits,
    /// What fetching a repository may use.
    #[serde(default)]
    pub fetch: FetchLimits,
}

/// What a build may use; sent to the worker with it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuildLimits {
    /// Wall-clock time in seconds.
    pub seconds: u64,
    /// Memory of the scripts, in MiB.
    pub memory_mib: u64,
    /// Processes and threads at the same time.
    pub processes: u64,
    /// Disk in MiB.
    pub disk_mib: u64,
    /// Kept log in MiB.
    pub log_mib: u64,
}

/// What fetching a repository may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchLimits {
    /// Wall-clock time in seconds.
    pub seconds: u64,
    /// Bytes received from the forge, in MiB.
    pub size_mib: u64,
    /// Whether clone URLs may be paths on the hub's own machine.
    pub local_paths: bool,
}

impl Default for BuildLimits {
    fn default() -> Self {
        Self {
            seconds: 7200,
            memory_mib: 8192,
            processes: 4096,
            disk_mib: 51_200,
            log_mib: 8,
        }
    }
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            seconds: 300,
            size_mib: 2048,
            local_paths: true,
        }
    }
}

fn default_listen() -> Vec<SocketAddr> {
    vec![SocketAddr::from(([127, 0, 0, 1], 8080))]
}

fn default_lease_seconds() -> u32 {
    60
}

fn default_attempts() -> u32 {
    3
}
