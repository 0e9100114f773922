//! SIF images in a registry (`oras://`): an artifact whose one layer is the file.

use std::path::PathBuf;

use super::blob::Store;
use super::fetch::{self, Fetch};
use super::manifest::{self, Descriptor, Document, Manifest, Unusable};
use crate::engine::{Cancel, Event};
use crate::error::Error;

/// The second is a slip of early versions, which pushed images so.
const SIF_TYPES: [&str; 2] = [
    "application/vnd.sylabs.sif.layer.v1.sif",
    "appliciation/vnd.sylabs.sif.layer.tar",
];

/// A SIF image that lies in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedSif {
    /// The full reference.
    pub reference: String,
    /// Digest of the manifest.
    pub manifest_digest: String,
    /// The file.
    pub path: PathBuf,
}

/// Fetches a SIF image, from a mirror if there is one that has it.
pub fn fetch_sif(
    wanted: &Fetch<'_>,
    events: &(dyn Fn(Event<'_>) + Sync),
    cancel: &Cancel,
) -> Result<FetchedSif, Error> {
    fetch::from_any(wanted, events, cancel, |client| {
        let store = Store::open(wanted)?;
        let (digest, manifest) = fetch::find_manifest(client, wanted)?;
        let image = sif(&manifest).map_err(|error| fetch::unusable(wanted.reference, &error))?;
        let path = fetch::fetch_layer(client, &store, image, events)?;
        Ok(FetchedSif {
            reference: wanted.reference.to_string(),
            manifest_digest: digest.to_string(),
            path,
        })
    })
}

/// Says in a few words what a document is, or why it is no SIF image.
pub(super) fn describe(json: &[u8]) -> Result<String, Unusable> {
    match manifest::parse(json)? {
        Document::Image(manifest) => {
            let image = sif(&manifest)?;
            Ok(format!(
                "a SIF image, {} bytes",
                image.size.unwrap_or_default()
            ))
        }
        Document::Index(_) => Ok("a choice of artifacts".to_owned()),
    }
}

fn sif(manifest: &Manifest) -> Result<&Descriptor, Unusable> {
    let is_sif = |layer: &&Descriptor| SIF_TYPES.contains(&layer.media_type.as_str());
    match manifest.layers.as_slice() {
        [layer] if is_sif(&layer) => Ok(layer),
        layers => {
            let kinds: Vec<&str> = layers.iter().map(|it| it.media_type.as_str()).collect();
            Err(Unusable::NotSif(kinds.join(", ")))
        }
    }
}
