//! What an image's configuration says, read as leniently as the tools in the field write it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// The parts of an image configuration that a build uses. Missing fields and `null` are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Architecture in Go's spelling; empty if it is not told.
    pub architecture: String,
    /// When the image was made (RFC 3339).
    pub created: Option<String>,
    /// `NAME=value` pairs, in order.
    pub env: Vec<String>,
    /// The program that runs.
    pub entrypoint: Vec<String>,
    /// Its default arguments, or the program if there is no entrypoint.
    pub cmd: Vec<String>,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<String>,
}

impl ImageConfig {
    /// Reads the configuration blob.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(json)?;
        let Document {
            architecture,
            created,
            config,
            rootfs,
        } = document;
        let Config {
            env,
            entrypoint,
            cmd,
            labels,
        } = config;
        let labels = labels
            .into_iter()
            .map(|(name, value)| (name, value.unwrap_or_default()));
        Ok(Self {
            architecture,
            created,
            env,
            entrypoint,
            cmd,
            labels: labels.collect(),
            diff_ids: rootfs.diff_ids,
        })
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(default, deserialize_with = "or_default")]
    architecture: String,
    #[serde(default)]
    created: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    config: Config,
    #[serde(default, deserialize_with = "or_default")]
    rootfs: Rootfs,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default, rename = "Env", deserialize_with = "or_default")]
    env: Vec<String>,
    #[serde(default, rename = "Entrypoint", deserialize_with = "words")]
    entrypoint: Vec<String>,
    #[serde(default, rename = "Cmd", deserialize_with = "words")]
    cmd: Vec<String>,
    #[serde(default, rename = "Labels", deserialize_with = "or_default")]
    labels: BTreeMap<String, Option<String>>,
}

#[derive(Default, Deserialize)]
struct Rootfs {
    #[serde(default, deserialize_with = "or_default")]
    diff_ids: Vec<String>,
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Old Docker versions wrote a single word without the list around it.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Many(Vec<String>),
        One(String),
    }
    Ok(match Option::<Words>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Words::Many(words)) => words,
        Some(Words::One(word)) => vec![word],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_missing_fields_are_empty() {
        let nulls = br#"{"config":{"Env":null,"Cmd":null,"Entrypoint":null,"Labels":{"a":null}},
            "rootfs":null,"architecture":null}"#;

        let config = ImageConfig::parse(nulls).unwrap();

        assert_eq!(config.labels["a"], "");
        assert_eq!(
            ImageConfig {
                labels: BTreeMap::new(),
                ..config
            },
            ImageConfig::default()
        );
        assert_eq!(ImageConfig::parse(b"{}").unwrap(), ImageConfig::default());
        assert_eq!(
            ImageConfig::parse(br#"{"config":null}"#).unwrap(),
            ImageConfig::default()
        );
    }

    #[test]
    fn a_command_may_be_one_word() {
        let config = ImageConfig::parse(br#"{"config":{"Cmd":"/bin/sh"}}"#).unwrap();

        assert_eq!(config.cmd, ["/bin/sh"]);
    }
}
