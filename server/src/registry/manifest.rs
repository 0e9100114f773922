//! What does a pushed manifest say?

use std::collections::BTreeMap;

use cooperage_protocol::Digest;
use serde::{Deserialize, Serialize};

use super::{Code, RegistryError};

/// An image's manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// A list of manifests.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The layer that is a SIF, by its name and by the name that it had before.
const SIF_LAYERS: [&str; 2] = [SIF_LAYER, "appliciation/vnd.sylabs.sif.layer.tar"];
/// The layer that is a SIF.
pub(crate) const SIF_LAYER: &str = "application/vnd.sylabs.sif.layer.v1.sif";

/// The most bytes of a manifest.
pub(crate) const LARGEST: usize = 4 << 20;

/// Something that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    /// What it is.
    pub(crate) media_type: String,
    /// SHA-256 of its bytes.
    pub(crate) digest: Digest,
    /// How many bytes it has.
    pub(crate) size: u64,
    /// Where else its bytes are: such a blob need not be pushed.
    #[serde(default, skip_serializing)]
    urls: Vec<String>,
}

/// The fields of all kinds of manifests.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
    subject: Option<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A manifest that was understood.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// SHA-256 of its text.
    pub(crate) digest: Digest,
    /// What it says it is.
    pub(crate) media_type: String,
    /// What it describes.
    pub(crate) artifact_type: Option<String>,
    /// The manifest that it says something about.
    pub(crate) subject: Option<Digest>,
    /// Its annotations.
    pub(crate) annotations: BTreeMap<String, String>,
    /// The blobs that it names.
    pub(crate) blobs: Vec<Descriptor>,
    /// The manifests that it lists.
    pub(crate) manifests: Vec<Descriptor>,
    /// The layer that is a SIF, if that is all there is.
    pub(crate) sif: Option<Descriptor>,
}

impl Manifest {
    /// Reads a manifest that was sent as being of this media type.
    pub(crate) fn parse(content_type: &str, text: &[u8]) -> Result<Self, RegistryError> {
        let document: Document = serde_json::from_slice(text)
            .map_err(|error| invalid(format!("the manifest cannot be read: {error}")))?;
        let media_type = media_type(content_type, &document)?;
        let is_list = [INDEX, DOCKER_LIST].contains(&media_type.as_str());
        if is_list != document.config.is_none() {
            return Err(invalid(format!(
                "a manifest of type {media_type} has {}",
                if is_list { "no config" } else { "a config" }
            )));
        }
        let config_type = document.config.as_ref().map(|it| it.media_type.clone());
        let sif = match &document.layers[..] {
            [only] if SIF_LAYERS.contains(&only.media_type.as_str()) => Some(only.clone()),
            _ => None,
        };
        let blobs = document.config.into_iter().chain(document.layers);
        Ok(Self {
            digest: Digest::of(text),
            media_type,
            artifact_type: document.artifact_type.or(config_type),
            subject: document.subject.map(|subject| subject.digest),
            annotations: document.annotations,
            blobs: blobs.filter(|blob| blob.urls.is_empty()).collect(),
            manifests: document.manifests,
            sif,
        })
    }
}

fn media_type(content_type: &str, document: &Document) -> Result<String, RegistryError> {
    let sent = content_type.split(';').next().unwrap_or_default().trim();
    let said = document.media_type.as_deref().unwrap_or(sent);
    if document.schema_version != 2 {
        return Err(invalid("only manifests of schemaVersion 2 are kept"));
    }
    if said != sent && !sent.is_empty() {
        return Err(invalid(format!(
            "the manifest says that it is {said:?}, but Content-Type is {sent:?}"
        )));
    }
    if ![MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST].contains(&said) {
        return Err(invalid(format!(
            "{said:?} is not the type of a manifest: {MANIFEST} and {INDEX} are, and those of \
             Docker"
        )));
    }
    Ok(said.to_owned())
}

fn invalid(message: impl Into<String>) -> RegistryError {
    RegistryError::bad(Code::ManifestInvalid, message)
}
