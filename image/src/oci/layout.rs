//! Images in the OCI image layout, as a folder or as a tar archive of one.
//!
//! See <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>.

use super::config::ImageConfig;
use super::digest::Digest;
use super::manifest::{self, Config, Descriptor, Document, Manifest, Unusable};
use super::platform::Platform;
use super::stored::{Store, StoredImage};
use crate::error::Error;

const MOST_NESTING: usize = 4;
const MOST_LAYERS: usize = 1000;

/// Which of the images of a layout or an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The only one, or the one for the platform.
    Only,
    /// The one of this name.
    Named(String),
    /// The one with this digest.
    Digest(Digest),
}

/// Finds an image in a layout and verifies its documents; `name` is for messages.
pub fn open_layout(
    store: &Store<'_>,
    name: &str,
    which: &Which,
    platform: &Platform,
) -> Result<StoredImage, Error> {
    let unusable = |error: Unusable| Error::Base {
        message: format!("{name}: {error}"),
        help: None,
    };
    let (digest, manifest) = find_manifest(store, name, which, platform)?;
    let layers = manifest.extractable_layers().map_err(unusable)?;
    if layers.len() > MOST_LAYERS {
        let count = layers.len();
        return Err(unusable(Unusable::Invalid(format!(
            "it has {count} layers"
        ))));
    }
    let config = match &manifest.config {
        Config::Blob(config) => store.document(config)?,
        Config::Inline(json) => json.clone(),
    };
    let config = ImageConfig::parse(&config)
        .map_err(|error| unusable(Unusable::Invalid(format!("its configuration: {error}"))))?;
    // Digests are by position; where the numbers differ they belong to something else.
    let known = config.diff_ids().len() == layers.len();
    let diff_id = |position: usize| config.diff_ids().get(position).filter(|_| known).cloned();
    let layers = layers.iter().enumerate();
    let layers = layers.map(|(position, layer)| store.layer(layer, diff_id(position)));
    Ok(StoredImage {
        manifest_digest: Some(digest.to_string()),
        layers: layers.collect::<Result<_, _>>()?,
        config: config.config,
    })
}

fn find_manifest(
    store: &Store<'_>,
    name: &str,
    which: &Which,
    platform: &Platform,
) -> Result<(Digest, Manifest), Error> {
    let invalid = |error: Unusable| Error::Base {
        message: format!("{name}: {error}"),
        help: None,
    };
    let Document::Index(entries) = manifest::parse(&store.read("index.json")?).map_err(invalid)?
    else {
        let text = "its index.json lists no manifests".to_owned();
        return Err(invalid(Unusable::Invalid(text)));
    };
    let mut wanted = top(&entries, name, which, platform)?;
    for _ in 0..MOST_NESTING {
        match manifest::parse(&store.document(&wanted)?).map_err(invalid)? {
            Document::Image(manifest) => return Ok((wanted.digest, *manifest)),
            Document::Index(entries) => {
                wanted = manifest::choose(&entries, platform)
                    .map_err(invalid)?
                    .clone();
            }
        }
    }
    let text = "indexes are nested too deep".to_owned();
    Err(invalid(Unusable::Invalid(text)))
}

/// What of the layout's own index is meant.
fn top(
    entries: &[Descriptor],
    name: &str,
    which: &Which,
    platform: &Platform,
) -> Result<Descriptor, Error> {
    let found = match which {
        // It may be inside of an index; what it is then is told by its own content.
        Which::Digest(digest) => Some(Descriptor::of(digest.clone())),
        Which::Named(tag) => entries
            .iter()
            .find(|entry| entry.name.as_deref() == Some(tag))
            .cloned(),
        Which::Only => match entries {
            [only] => Some(only.clone()),
            many if many.iter().all(|entry| entry.name.is_none()) => {
                manifest::choose(many, platform).ok().cloned()
            }
            _ => None,
        },
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = entries.iter().filter_map(|it| it.name.as_deref()).collect();
        let wanted = match which {
            Which::Named(tag) => format!("has no image `{tag}`"),
            _ => format!("holds {} images, and none is named", entries.len()),
        };
        not_one(name, &wanted, &names)
    })
}

/// Says which images there are instead of the one that was meant.
pub(super) fn not_one(name: &str, wanted: &str, names: &[&str]) -> Error {
    let help = match names.first() {
        Some(first) => format!(
            "write `From: {name}:{first}`; there are: {}",
            names.join(", ")
        ),
        None => format!("write `From: {name}@sha256:…` with the digest of one"),
    };
    Error::Base {
        message: format!("{name} {wanted}"),
        help: Some(help),
    }
}
