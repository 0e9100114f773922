//! The hub's settings: read once, checked, and documented in `deploy/cooperage.toml`.

mod limits;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use url::Url;

pub use self::limits::{BuildLimits, FetchLimits, PushLimits, Rates, RemoteBuilds, StoreSettings};
use crate::sign_in;
pub use crate::sign_in::settings::{
    Kind, LoginSettings, Newcomers, ProviderSettings, SecretBy, SecretSource,
};

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
    /// Proxies that are believed what they say of their clients in `X-Forwarded-For`: addresses, or
    /// networks such as `10.0.0.0/8`.
    #[serde(
        default = "default_trusted_proxies",
        deserialize_with = "read_networks"
    )]
    pub trusted_proxies: Vec<IpNet>,
    /// The hub's address as clients know it, without a trailing slash.
    pub public_url: Url,
    /// File of the keys that seal what the hub has to know again; `secret-keys` below `data` when
    /// absent.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
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
    /// How the store is kept.
    #[serde(default)]
    pub store: StoreSettings,
    /// What people may push.
    #[serde(default)]
    pub push: PushLimits,
    /// How people log in, beside their passwords.
    #[serde(default)]
    pub login: LoginSettings,
    /// How long an answer to those who show no account is given again to others, in milliseconds;
    /// 0 for never.
    #[serde(default = "default_answers_kept_ms")]
    pub answers_kept_ms: u64,
    /// What people have built that lies in no repository.
    #[serde(default)]
    pub remote_builds: RemoteBuilds,
    /// How much one client may ask for.
    #[serde(default)]
    pub rates: Rates,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or may not be read.
    #[error("settings file {path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key or a value that is none of ours.
    #[error("settings file {path} is wrong: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A value makes no sense.
    #[error("setting {key}: {problem}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// Reads and checks a settings file.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let config: Config = toml::from_str(&text).map_err(|error| ConfigError::Malformed {
        path: path.to_owned(),
        message: error.to_string().trim().to_owned(),
    })?;
    config.check()?;
    Ok(config)
}

impl Config {
    /// Checks what types cannot say.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_addresses()?;
        if let Some(id) = sign_in::settings::find_twice(&self.login.providers) {
            let problem = format!("two providers have the id {id:?}");
            return Err(invalid("login.providers", problem));
        }
        let numbers = [
            ("lease_seconds", u64::from(self.lease_seconds), 10..=3600),
            ("attempts", u64::from(self.attempts), 1..=100),
            ("answers_kept_ms", self.answers_kept_ms, 0..=60_000),
            ("limits.seconds", self.limits.seconds, 1..=30 * 86_400),
            ("limits.memory_mib", self.limits.memory_mib, 16..=1 << 30),
            ("limits.processes", self.limits.processes, 1..=1 << 22),
            ("limits.disk_mib", self.limits.disk_mib, 1..=1 << 30),
            ("limits.log_mib", self.limits.log_mib, 1..=1024),
            ("fetch.seconds", self.fetch.seconds, 1..=86_400),
            ("fetch.size_mib", self.fetch.size_mib, 1..=1 << 30),
            ("push.blob_mib", self.push.blob_mib, 1..=1 << 30),
            ("push.collection_mib", self.push.collection_mib, 0..=1 << 30),
            (
                "push.silent_minutes",
                self.push.silent_minutes,
                1..=60 * 24 * 365,
            ),
            (
                "rates.client_mib_per_day",
                self.rates.client_mib_per_day,
                0..=1 << 40,
            ),
            (
                "rates.collection_mib_per_day",
                self.rates.collection_mib_per_day,
                0..=1 << 40,
            ),
            (
                "remote_builds.keep_days",
                self.remote_builds.keep_days,
                1..=36_500,
            ),
            (
                "store.keep_unused_minutes",
                self.store.keep_unused_minutes,
                1..=60 * 24 * 365,
            ),
        ];
        match numbers
            .into_iter()
            .find(|(_, value, range)| !range.contains(value))
        {
            Some((key, value, range)) => {
                let (least, most) = (range.start(), range.end());
                Err(invalid(
                    key,
                    format!("{value} is not from {least} to {most}"),
                ))
            }
            None => Ok(()),
        }
    }

    fn check_addresses(&self) -> Result<(), ConfigError> {
        let url = &self.public_url;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() {
            return Err(invalid(
                "public_url",
                format!("{url} is not http:// or https:// and a host"),
            ));
        }
        if !self.data.is_absolute() {
            return Err(invalid(
                "data",
                format!("{} is not an absolute path", self.data.display()),
            ));
        }
        if !self.database_url.starts_with("postgres") {
            return Err(invalid(
                "database_url",
                "it does not begin with postgres://".to_owned(),
            ));
        }
        if self.listen.is_empty() {
            return Err(invalid(
                "listen",
                "it needs an address, such as 127.0.0.1:8080".to_owned(),
            ));
        }
        Ok(())
    }

    /// The address, as clients know it, of a path that begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }

    /// Folder of the objects of images.
    pub fn objects(&self) -> PathBuf {
        self.data.join("objects")
    }

    /// Folder of the bare repositories of collections.
    pub fn repositories(&self) -> PathBuf {
        self.data.join("repositories")
    }
}

fn invalid(key: &'static str, problem: String) -> ConfigError {
    ConfigError::Invalid { key, problem }
}

fn default_listen() -> Vec<SocketAddr> {
    vec![SocketAddr::from(([127, 0, 0, 1], 8080))]
}

/// A proxy on the hub's own machine.
fn default_trusted_proxies() -> Vec<IpNet> {
    let loopback: [IpAddr; 2] = [[127, 0, 0, 0].into(), [0, 0, 0, 0, 0, 0, 0, 1].into()];
    let [old, new] = loopback;
    vec![IpNet::new_assert(old, 8), IpNet::new_assert(new, 128)]
}

/// An address alone is a network of one.
fn read_networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let networks = texts.iter().map(|text| {
        let network = text.parse::<IpNet>();
        network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
    });
    let wrong = |_| {
        let problem = format!("{texts:?} are not addresses or networks such as 10.0.0.0/8");
        serde::de::Error::custom(problem)
    };
    networks.collect::<Result<_, _>>().map_err(wrong)
}

fn default_lease_seconds() -> u32 {
    60
}

fn default_attempts() -> u32 {
    3
}

fn default_answers_kept_ms() -> u64 {
    1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "data = \"/var/lib/hub\"\ndatabase_url = \"postgres:///hub\"\n\
                         public_url = \"https://hub.example\"\n";

    fn loaded(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cooperage.toml");
        std::fs::write(&path, text).unwrap();
        load(&path)
    }

    #[test]
    fn three_settings_are_enough() {
        let config = loaded(LEAST).unwrap();

        assert_eq!(config.url("/x"), "https://hub.example/x");
        assert_eq!((config.attempts, config.lease_seconds), (3, 60));
    }

    #[test]
    fn proxies_are_addresses_or_networks() {
        let proxies = |text: &str| loaded(&format!("trusted_proxies = {text}\n{LEAST}"));

        let config = proxies(r#"["10.0.0.1", "2001:db8::/32"]"#).unwrap();
        let told: Vec<_> = config
            .trusted_proxies
            .iter()
            .map(IpNet::to_string)
            .collect();
        let wrong = proxies(r#"["proxy.example.org"]"#).unwrap_err().to_string();

        assert_eq!(told, ["10.0.0.1/32", "2001:db8::/32"]);
        assert!(wrong.contains("proxy.example.org"), "{wrong}");
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let misspelt = loaded(&format!("{LEAST}atempts = 3\n"))
            .unwrap_err()
            .to_string();
        let senseless = loaded(&format!("{LEAST}attempts = 0\n"))
            .unwrap_err()
            .to_string();

        assert!(misspelt.contains("atempts"), "{misspelt}");
        assert_eq!(senseless, "setting attempts: 0 is not from 1 to 100");
    }
}
