//! Images as `docker save` writes them: a tar archive with a `manifest.json`.

use serde::Deserialize;

use super::archive::Archive;
use super::config::ImageConfig;
use super::digest::Digest;
use super::layout::{Which, not_one};
use super::reference::Reference;
use super::stored::{Store, StoredImage, StoredLayer, lie};
use crate::error::Error;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Finds an image in an archive of `docker save`; `name` is for messages. Layers are verified by
/// the configuration, which has the digests of the uncompressed ones.
pub fn open_saved(archive: &Archive, name: &str, which: &Which) -> Result<StoredImage, Error> {
    if !archive.has("manifest.json") {
        return Err(Error::Base {
            message: format!("{name} holds no image: it has no manifest.json"),
            help: Some("an archive of `docker save` (1.10 or later) is needed".to_owned()),
        });
    }
    let store = Store::Archive(archive);
    let entries: Vec<Entry> = serde_json::from_slice(&store.read("manifest.json")?)
        .map_err(|error| lie(format!("{name}: its manifest.json is not valid: {error}")))?;
    let entry = choose(&entries, name, which)?;
    let config = config(&store, name, entry)?;
    let paths = entry.layers.as_deref().unwrap_or_default();
    if config.diff_ids().len() != paths.len() {
        let (layers, digests) = (paths.len(), config.diff_ids().len());
        let message = format!("{name} has {layers} layers and digests of {digests}");
        return Err(lie(message));
    }
    let layers = paths.iter().zip(config.diff_ids()).map(|(path, diff_id)| {
        Ok(StoredLayer {
            content: store.open(path)?,
            digest: None,
            diff_id: Some(diff_id.clone()),
        })
    });
    Ok(StoredImage {
        manifest_digest: None,
        layers: layers.collect::<Result<_, Error>>()?,
        config: config.config,
    })
}

fn choose<'a>(entries: &'a [Entry], name: &str, which: &Which) -> Result<&'a Entry, Error> {
    let tags = |entry: &'a Entry| entry.repo_tags.iter().flatten().map(String::as_str);
    let found = match which {
        Which::Only => match entries {
            [only] => Some(only),
            _ => None,
        },
        Which::Named(wanted) => entries
            .iter()
            .find(|entry| tags(entry).any(|tag| is_meant(tag, wanted))),
        Which::Digest(digest) => entries
            .iter()
            .find(|entry| entry.config.contains(digest.hex())),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = entries.iter().flat_map(tags).collect();
        let wanted = match which {
            Which::Named(tag) => format!("has no image `{tag}`"),
            _ => format!("holds {} images", entries.len()),
        };
        not_one(name, &wanted, &names)
    })
}

/// `busybox:1`, `docker.io/library/busybox:1` and the tag alone mean the same image.
fn is_meant(tag: &str, wanted: &str) -> bool {
    let full = |text: &str| text.parse::<Reference>().ok();
    tag == wanted
        || tag.rsplit_once(':').is_some_and(|(_, tag)| tag == wanted)
        || full(tag).is_some() && full(tag) == full(wanted)
}

/// The configuration, verified where its name is its digest.
fn config(store: &Store<'_>, name: &str, entry: &Entry) -> Result<ImageConfig, Error> {
    let json = store.read(&entry.config)?;
    let file = entry.config.rsplit('/').next().unwrap_or_default();
    let hex = file.strip_suffix(".json").unwrap_or(file);
    if let Ok(announced) = format!("sha256:{hex}").parse::<Digest>() {
        let found = Digest::of(&json);
        if found != announced {
            return Err(lie(format!("{} has the digest {found}", entry.config)));
        }
    }
    ImageConfig::parse(&json)
        .map_err(|error| lie(format!("{name}: its configuration is not valid: {error}")))
}
