//! The hub's settings under `up`: those of a file, and over them what `up` fills in itself.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use cooperage_server::Config;
use toml::Table;
use url::Url;

/// What `up` knows better than any file.
pub(super) struct FilledIn<'a> {
    pub(super) data: &'a Path,
    pub(super) database_url: &'a str,
    pub(super) listen: &'a [SocketAddr],
    pub(super) public_url: &'a Url,
}

/// Reads a settings file, of which any key may be absent; without a file all of them are.
pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Table> {
    let Some(file) = file else {
        return Ok(Table::new());
    };
    let reading = || format!("reading settings file {}", file.display());
    let text = std::fs::read_to_string(file).with_context(reading)?;
    text.parse().with_context(reading)
}

/// Lays the settings under what `up` fills in; what neither of them says has its default.
pub(super) fn complete(mut settings: Table, filled_in: &FilledIn<'_>) -> anyhow::Result<Config> {
    let data = filled_in
        .data
        .to_str()
        .context("path of the data folder is not UTF-8")?;
    let listen: Vec<_> = filled_in.listen.iter().map(ToString::to_string).collect();
    let public_url = filled_in.public_url.as_str().trim_end_matches('/');
    settings.insert("data".to_owned(), data.into());
    settings.insert("database_url".to_owned(), filled_in.database_url.into());
    settings.insert("listen".to_owned(), listen.into());
    settings.insert("public_url".to_owned(), public_url.into());

    let config: Config = settings.try_into().context("settings are wrong")?;
    config.check()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(file: &str) -> anyhow::Result<Config> {
        let public_url = "http://127.0.0.1:8080/".parse().unwrap();
        let listen = ["127.0.0.1:8080".parse().unwrap()];
        let filled_in = FilledIn {
            data: Path::new("/srv/hub"),
            database_url: "postgres:///hub",
            listen: &listen,
            public_url: &public_url,
        };
        complete(file.parse().unwrap(), &filled_in)
    }

    #[test]
    fn what_the_file_says_holds_and_the_rest_has_its_default() {
        let config = completed("lease_seconds = 10\n[limits]\nseconds = 40\n").unwrap();

        let defaults = completed("").unwrap();
        assert_eq!((config.lease_seconds, config.limits.seconds), (10, 40));
        assert_eq!(config.limits.disk_mib, defaults.limits.disk_mib);
        assert_eq!(config.attempts, defaults.attempts);
    }

    #[test]
    fn the_documented_settings_file_can_be_given_as_it_is() {
        let documented = include_str!("../../../deploy/cooperage.toml");

        let config = completed(documented).unwrap();

        assert_eq!(config.data, Path::new("/srv/hub"));
        assert_eq!(config.database_url, "postgres:///hub");
    }

    #[test]
    fn a_key_that_is_no_setting_is_named() {
        let error = completed("atempts = 3\n").unwrap_err();

        assert!(format!("{error:#}").contains("atempts"), "{error:#}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(Some(Path::new("/nowhere/cooperage.toml"))).unwrap_err();

        assert!(format!("{error:#}").contains("/nowhere/cooperage.toml"));
    }
}
