//! Docker's first form of a manifest, which old registries still have: read, never written.
//!
//! Its signatures say who pushed it and nothing that is relied on here, so they are not verified;
//! the digests of the layers are.
//!
//! See <https://github.com/distribution/distribution/blob/v2.8.3/docs/spec/manifest-v2-1.md>.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::manifest::{Config, Descriptor, Manifest, Unusable};

const LAYER_TYPE: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "fsLayers")]
    layers: Vec<Layer>,
    history: Vec<History>,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(rename = "blobSum")]
    digest: String,
}

#[derive(Deserialize)]
struct History {
    /// JSON in a text.
    #[serde(rename = "v1Compatibility")]
    v1: String,
}

#[derive(Deserialize)]
struct V1 {
    #[serde(default)]
    throwaway: bool,
    config: Option<Box<RawValue>>,
}

/// Reads a manifest. The newest layer comes first in it, and each has its history; one that is
/// `throwaway` changed no file. A layer that occurs twice is put over the others twice.
pub(super) fn parse(json: &[u8]) -> Result<Manifest, Unusable> {
    let invalid = |error: serde_json::Error| Unusable::Invalid(error.to_string());
    let raw: Raw = serde_json::from_slice(json).map_err(invalid)?;
    if raw.layers.is_empty() || raw.layers.len() != raw.history.len() {
        let (layers, history) = (raw.layers.len(), raw.history.len());
        let message = format!("it has {layers} layers and the history of {history}");
        return Err(Unusable::Invalid(message));
    }
    let (mut config, mut layers) = (None, Vec::new());
    for (layer, history) in raw.layers.into_iter().zip(raw.history) {
        let v1: V1 = serde_json::from_str(&history.v1).map_err(invalid)?;
        if config.is_none() && v1.config.is_some() {
            config = Some(history.v1.into_bytes());
        }
        if !v1.throwaway {
            let digest = layer.digest.parse().map_err(Unusable::Invalid)?;
            let media_type = LAYER_TYPE.to_owned();
            layers.push(Descriptor {
                media_type,
                ..Descriptor::of(digest)
            });
        }
    }
    layers.reverse();
    Ok(Manifest {
        config: Config::Inline(config.unwrap_or_else(|| b"{}".to_vec())),
        layers,
    })
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "schemaVersion")]
    schema_version: u32,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    protected: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protected {
    format_length: usize,
    format_tail: String,
}

/// What the digest of a signed manifest is of: the text without the signatures. `None` for
/// everything that is no signed manifest.
pub(super) fn payload(json: &[u8]) -> Option<Vec<u8>> {
    let signed: Signed = serde_json::from_slice(json).ok()?;
    let signature = signed
        .signatures
        .first()
        .filter(|_| signed.schema_version == 1)?;
    let protected = URL_SAFE_NO_PAD.decode(&signature.protected).ok()?;
    let protected: Protected = serde_json::from_slice(&protected).ok()?;
    let mut payload = json.get(..protected.format_length)?.to_vec();
    payload.extend(URL_SAFE_NO_PAD.decode(&protected.format_tail).ok()?);
    Some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::config::ImageConfig;
    use crate::oci::digest::Digest;

    fn manifest(digests: &[&Digest], history: &[&str]) -> String {
        let layers: Vec<_> = digests
            .iter()
            .map(|digest| serde_json::json!({ "blobSum": digest.to_string() }))
            .collect();
        let history: Vec<_> = history
            .iter()
            .map(|v1| serde_json::json!({ "v1Compatibility": v1 }))
            .collect();
        serde_json::json!({"schemaVersion": 1, "fsLayers": layers, "history": history}).to_string()
    }

    #[test]
    fn layers_are_turned_round_and_those_without_files_left_out() {
        let (base, empty, top) = (Digest::of(b"1"), Digest::of(b"2"), Digest::of(b"3"));
        let json = manifest(
            &[&top, &empty, &base, &base],
            &[
                r#"{"architecture":"arm64","config":{"Cmd":["top"]}}"#,
                r#"{"throwaway":true,"config":{"Cmd":["below"]}}"#,
                "{}",
                "{}",
            ],
        );

        let manifest = parse(json.as_bytes()).unwrap();

        let digests: Vec<_> = manifest.layers.iter().map(|layer| &layer.digest).collect();
        assert_eq!(digests, [&base, &base, &top]);
        let Config::Inline(config) = manifest.config else {
            panic!("a manifest of schema 1 holds its configuration")
        };
        let config = ImageConfig::parse(&config).unwrap();
        assert_eq!(config.config.cmd.unwrap(), ["top"]);
        assert_eq!(config.architecture, "arm64");
    }

    #[test]
    fn layers_without_their_history_are_refused() {
        let digest = Digest::of(b"1");

        for (digests, history) in [
            (vec![&digest], vec![]),
            (vec![], vec!["{}"]),
            (vec![], vec![]),
        ] {
            let error = parse(manifest(&digests, &history).as_bytes()).unwrap_err();
            assert!(error.to_string().contains("the history of"), "{error}");
        }
    }

    #[test]
    fn the_digest_of_a_signed_manifest_is_that_of_the_text_without_signatures() {
        let text = "{\n   \"schemaVersion\": 1\n}";
        let length = text.len() - 2;
        let tail = URL_SAFE_NO_PAD.encode("\n}");
        let protected = format!(r#"{{"formatLength":{length},"formatTail":"{tail}"}}"#);
        let protected = URL_SAFE_NO_PAD.encode(protected);
        let signed = format!(
            "{},\n   \"signatures\": [{{\"protected\": \"{protected}\"}}]\n}}",
            &text[..length]
        );

        assert_eq!(payload(signed.as_bytes()).unwrap(), text.as_bytes());
        assert_eq!(payload(text.as_bytes()), None);
    }
}
