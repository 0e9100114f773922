//! What a registry says an image consists of, in all the forms registries say it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::digest::Digest;
use super::platform::{Described, Platform};
use super::schema1;

/// The annotation with the name of an image in a layout.
const NAME: &str = "org.opencontainers.image.ref.name";

/// Everything that is asked for; the schema 1 forms are left out, so registries convert if they can.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// A document that a registry gave for a tag or digest.
#[derive(Debug)]
pub(super) enum Document {
    /// One image.
    Image(Box<Manifest>),
    /// A choice of images.
    Index(Vec<Descriptor>),
}

/// What one image consists of.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) config: Config,
    /// Lowest first.
    pub(super) layers: Vec<Descriptor>,
}

/// Where the configuration of an image is.
#[derive(Debug)]
pub(super) enum Config {
    Blob(Descriptor),
    /// In the manifest itself, as schema 1 has it.
    Inline(Vec<u8>),
}

/// Content in a registry.
#[derive(Debug, Clone)]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    /// `None` only in schema 1, which does not tell it.
    pub(super) size: Option<u64>,
    /// The content itself, when it is small.
    pub(super) data: Option<Vec<u8>>,
    /// Other places that have it: foreign layers are not pushed to registries.
    pub(super) urls: Vec<String>,
    /// Its name in an image layout.
    pub(super) name: Option<String>,
    pub(super) platform: Option<Described>,
}

/// Why a document is not an image that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("manifest is not valid: {0}")]
    Invalid(String),
    #[error("no extractable layers found in this image; its layers are of type {0}")]
    NotAnImage(String),
    #[error("a layer of this image is of type {0}, which cannot be unpacked")]
    UnknownLayer(String),
    #[error("it is no SIF image, which has one layer; its layers are of type {0}")]
    NotSif(String),
    #[error("no image for {wanted} found; there are images for {present}")]
    NoPlatform { wanted: String, present: String },
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "schemaVersion")]
    schema_version: Option<u32>,
    #[serde(default, rename = "mediaType")]
    media_type: Option<String>,
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
}

#[derive(Deserialize)]
struct RawDescriptor {
    #[serde(default, rename = "mediaType")]
    media_type: String,
    digest: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    pub(super) platform: Option<Described>,
    #[serde(default)]
    data: Option<String>,
    #[serde(default)]
    urls: Option<Vec<String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, serde_json::Value>>,
}

/// Reads a manifest or an index; the media type in the body may be missing.
pub(super) fn parse(json: &[u8]) -> Result<Document, Unusable> {
    let raw: Raw =
        serde_json::from_slice(json).map_err(|error| Unusable::Invalid(error.to_string()))?;
    let is_signed = raw
        .media_type
        .as_deref()
        .is_some_and(|kind| kind.contains("manifest.v1+"));
    if raw.schema_version == Some(1) || is_signed && raw.config.is_none() {
        return schema1::parse(json).map(|manifest| Document::Image(Box::new(manifest)));
    }
    if let Some(manifests) = raw.manifests {
        return descriptors(manifests).map(Document::Index);
    }
    let (Some(config), Some(layers)) = (raw.config, raw.layers) else {
        return Err(Unusable::Invalid(
            "it has neither layers nor manifests".to_owned(),
        ));
    };
    let manifest = Manifest {
        config: Config::Blob(descriptor(config)?),
        layers: descriptors(layers)?,
    };
    Ok(Document::Image(Box::new(manifest)))
}

/// Finds the entry of an index that fits a platform best: the first that matches.
pub(super) fn choose<'a>(
    entries: &'a [Descriptor],
    platform: &Platform,
) -> Result<&'a Descriptor, Unusable> {
    let is_image = |entry: &&Descriptor| {
        !entry
            .platform
            .as_ref()
            .is_some_and(Described::is_attestation)
    };
    let mut images = entries.iter().filter(is_image);
    let fitting = images.clone().filter_map(|entry| {
        let distance = platform.distance(entry.platform.as_ref())?;
        (!entry.is_index() || entry.platform.is_some()).then_some((distance, entry))
    });
    if let Some((_, found)) = fitting.min_by_key(|(distance, _)| *distance) {
        return Ok(found);
    }
    // An index in an index has no platform of its own; it is the only other place to look.
    if let Some(nested) = images.find(|entry| entry.is_index() && entry.platform.is_none()) {
        return Ok(nested);
    }
    Err(Unusable::NoPlatform {
        wanted: platform.to_string(),
        present: platforms(entries),
    })
}

fn platforms(entries: &[Descriptor]) -> String {
    let present = entries.iter().filter_map(|entry| entry.platform.as_ref());
    let present = present.filter(|platform| !platform.is_attestation());
    let present: Vec<String> = present.map(ToString::to_string).collect();
    if present.is_empty() {
        "no platform".to_owned()
    } else {
        present.join(", ")
    }
}

/// Says in a few words what a document is, or why it is no image for a platform.
pub(super) fn describe(json: &[u8], platform: &Platform) -> Result<String, Unusable> {
    match parse(json)? {
        Document::Image(manifest) => {
            let layers = manifest.extractable_layers()?;
            let size: u64 = layers.iter().filter_map(|layer| layer.size).sum();
            let layers = match layers.len() {
                1 => "1 layer".to_owned(),
                count => format!("{count} layers"),
            };
            Ok(format!("{layers}, {size} bytes"))
        }
        Document::Index(entries) => {
            choose(&entries, platform)?;
            Ok(format!("images for {}", platforms(&entries)))
        }
    }
}

impl Manifest {
    /// The layers that hold files.
    pub(super) fn extractable_layers(&self) -> Result<Vec<&Descriptor>, Unusable> {
        let layers: Vec<_> = self
            .layers
            .iter()
            .filter(|layer| layer.is_layer())
            .collect();
        if layers.is_empty() && !self.layers.is_empty() {
            let kinds: Vec<&str> = self
                .layers
                .iter()
                .map(|layer| layer.media_type.as_str())
                .collect();
            return Err(Unusable::NotAnImage(kinds.join(", ")));
        }
        // Without it, files of the image would be missing.
        if let Some(unknown) = self.layers.iter().find(|layer| layer.is_unknown_layer()) {
            return Err(Unusable::UnknownLayer(unknown.media_type.clone()));
        }
        if let Config::Blob(config) = &self.config
            && layers.is_empty()
            && !config.is_image_config()
        {
            return Err(Unusable::NotAnImage(config.media_type.clone()));
        }
        Ok(layers)
    }
}

impl Descriptor {
    /// Content of which nothing but its digest is known.
    pub(super) fn of(digest: Digest) -> Self {
        Self {
            media_type: String::new(),
            digest,
            size: None,
            data: None,
            urls: Vec::new(),
            name: None,
            platform: None,
        }
    }

    fn is_layer(&self) -> bool {
        let kind = self.media_type.as_str();
        let docker = kind.strip_prefix("application/vnd.docker.image.rootfs.");
        let oci = kind.strip_prefix("application/vnd.oci.image.layer.");
        let tar = docker.and_then(|rest| rest.strip_prefix("foreign.").or(Some(rest)));
        let tar = tar.and_then(|rest| rest.strip_prefix("diff.tar"));
        let oci = oci.and_then(|rest| rest.strip_prefix("nondistributable.").or(Some(rest)));
        tar.or(oci.and_then(|rest| rest.strip_prefix("v1.tar")))
            .is_some_and(|rest| matches!(rest, "" | ".gzip" | "+gzip" | ".zstd" | "+zstd"))
    }

    /// Whether it holds files in a form that is not understood, such as an encrypted one.
    fn is_unknown_layer(&self) -> bool {
        let kind = self.media_type.as_str();
        let is_of_image = kind.starts_with("application/vnd.docker.image.rootfs.")
            || kind.starts_with("application/vnd.oci.image.layer.");
        is_of_image && !self.is_layer()
    }

    fn is_image_config(&self) -> bool {
        matches!(
            self.media_type.as_str(),
            "application/vnd.oci.image.config.v1+json"
                | "application/vnd.docker.container.image.v1+json"
        )
    }

    fn is_index(&self) -> bool {
        self.media_type.contains("image.index.") || self.media_type.contains("manifest.list.")
    }
}

fn descriptors(raw: Vec<RawDescriptor>) -> Result<Vec<Descriptor>, Unusable> {
    raw.into_iter().map(descriptor).collect()
}

fn descriptor(raw: RawDescriptor) -> Result<Descriptor, Unusable> {
    let digest = raw.digest.parse().map_err(Unusable::Invalid)?;
    let data = raw.data.map(|data| STANDARD.decode(data)).transpose();
    let data = data.map_err(|error| Unusable::Invalid(format!("data of {digest}: {error}")))?;
    let name = raw.annotations.as_ref().and_then(|it| it.get(NAME));
    Ok(Descriptor {
        media_type: raw.media_type,
        size: Some(raw.size),
        data,
        urls: raw.urls.unwrap_or_default(),
        name: name.and_then(|name| name.as_str()).map(str::to_owned),
        platform: raw.platform,
        digest,
    })
}

#[cfg(test)]
mod tests;
