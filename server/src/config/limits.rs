//! How much may builds, fetches, pushes, clients and the store use, when nothing else is set?

use serde::Deserialize;

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

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            seconds: 300,
            size_mib: 2048,
            local_paths: true,
        }
    }
}

/// What people have built that lies in no repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteBuilds {
    /// Whether accounts may.
    pub allowed: bool,
    /// How long an image stays that has no destination, in days.
    pub keep_days: u64,
}

impl Default for RemoteBuilds {
    fn default() -> Self {
        Self {
            allowed: true,
            keep_days: 7,
        }
    }
}

/// What people may push.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushLimits {
    /// Bytes of one image, or of one blob, in MiB.
    pub blob_mib: u64,
    /// Bytes of all that is pushed to a collection, in MiB; 0 for no limit.
    pub collection_mib: u64,
    /// How long an upload may be silent before it is given up, in minutes.
    pub silent_minutes: u64,
}

impl Default for PushLimits {
    fn default() -> Self {
        Self {
            blob_mib: 51_200,
            collection_mib: 0,
            silent_minutes: 24 * 60,
        }
    }
}

/// How much one client may ask for. A client is an account, or else an address.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Requests a minute from an address without an account; 0 for no limit.
    pub anonymous_per_minute: u32,
    /// Requests a minute of an account, wherever it is; 0 for no limit.
    pub account_per_minute: u32,
    /// Bytes of images that a client downloads in a day, in MiB; 0 for no limit.
    pub client_mib_per_day: u64,
    /// Bytes of a collection's images that all download together in a day, in MiB; 0 for no limit.
    pub collection_mib_per_day: u64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            anonymous_per_minute: 3000,
            account_per_minute: 12_000,
            client_mib_per_day: 0,
            collection_mib_per_day: 0,
        }
    }
}

/// How the store is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// How long an object stays that nothing needs any more, in minutes.
    pub keep_unused_minutes: u64,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            keep_unused_minutes: 60,
        }
    }
}
