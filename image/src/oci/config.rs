//! What an image's configuration says, read as leniently as the tools in the field write it.

use serde::{Deserialize, Deserializer};

use crate::metadata::OciConfig;

/// The parts of an image configuration that a build uses. Missing fields and `null` are empty.
///
/// See <https://github.com/opencontainers/image-spec/blob/main/config.md#properties>.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ImageConfig {
    /// Architecture in Go's spelling; empty if it is not told.
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// How the image is used.
    #[serde(default, deserialize_with = "or_default")]
    pub config: OciConfig,
    #[serde(default, deserialize_with = "or_default")]
    rootfs: Rootfs,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Rootfs {
    #[serde(default, deserialize_with = "or_default")]
    diff_ids: Vec<String>,
}

impl ImageConfig {
    /// Reads the configuration blob.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Digests of the uncompressed layers, lowest first.
    pub fn diff_ids(&self) -> &[String] {
        &self.rootfs.diff_ids
    }
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn nulls_and_missing_fields_are_empty() {
        let nulls = br#"{"config":{"Env":null,"Cmd":null,"Entrypoint":null,"Labels":{"a":null}},
            "rootfs":null,"architecture":null}"#;

        let mut image = ImageConfig::parse(nulls).unwrap();

        let labels = image.config.labels.take();
        assert_eq!(labels, Some(BTreeMap::from([("a".to_owned(), None)])));
        assert_eq!(image, ImageConfig::default());
        assert_eq!(ImageConfig::parse(b"{}").unwrap(), ImageConfig::default());
        assert_eq!(
            ImageConfig::parse(br#"{"config":null}"#).unwrap(),
            ImageConfig::default()
        );
    }

    #[test]
    fn a_command_may_be_one_word() {
        let image = ImageConfig::parse(br#"{"config":{"Cmd":"/bin/sh"}}"#).unwrap();

        assert_eq!(image.config.cmd.unwrap(), ["/bin/sh"]);
    }
}
