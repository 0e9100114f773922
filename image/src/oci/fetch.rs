//! How an image gets from a registry into the cache: manifest, configuration, layers.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Registries;
use super::accounts::Accounts;
use super::blob::{self, Store};
use super::client::{Ask, Client};
use super::config::ImageConfig;
use super::digest::Digest;
use super::endpoint::{Role, endpoints};
use super::manifest::{self, ACCEPTED, Config, Descriptor, Document, Manifest, Unusable};
use super::platform::Platform;
use super::reference::{Reference, Version};
use super::schema1;
use crate::cancellable::Cancellable;
use crate::engine::{Cancel, Event, Progress};
use crate::error::Error;
use crate::metadata::OciConfig;

const MOST_MANIFEST: u64 = 8 << 20;
const MOST_CONFIG: u64 = 8 << 20;
const MOST_NESTING: usize = 4;
const SIDE_BY_SIDE: usize = 4;

/// What to fetch and how.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    /// The image.
    pub reference: &'a Reference,
    /// Which of its platforms.
    pub platform: &'a Platform,
    /// Mirrors and plain-http hosts.
    pub registries: &'a Registries,
    /// As whom.
    pub accounts: &'a Accounts,
    /// Folder of the cache.
    pub cache: &'a Path,
    /// How many bytes may be downloaded.
    pub most_bytes: Option<u64>,
}

/// An image whose layers lie in the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchedImage {
    /// The full reference.
    pub reference: String,
    /// Digest of the manifest for the platform.
    pub manifest_digest: String,
    /// How it is used.
    pub config: OciConfig,
    /// The layers, lowest first.
    pub layers: Vec<LayerBlob>,
}

/// A layer in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerBlob {
    /// The file.
    pub path: PathBuf,
    /// What the manifest says it is.
    pub media_type: String,
    /// Digest of the file.
    pub digest: String,
    /// Digest of the uncompressed tar, where the configuration tells.
    pub diff_id: Option<String>,
}

/// Fetches an image, from a mirror if there is one that has it.
pub fn fetch(
    wanted: &Fetch<'_>,
    events: &(dyn Fn(Event<'_>) + Sync),
    cancel: &Cancel,
) -> Result<FetchedImage, Error> {
    from_any(wanted, events, cancel, |client| {
        fetch_from(client, wanted, events)
    })
}

/// The digest of the manifest that the image has now, for its platform.
pub fn resolve(
    wanted: &Fetch<'_>,
    events: &(dyn Fn(Event<'_>) + Sync),
    cancel: &Cancel,
) -> Result<Digest, Error> {
    from_any(wanted, events, cancel, |client| {
        find_manifest(client, wanted).map(|(digest, _)| digest)
    })
}

/// Asks the mirrors and the registry until one of them has it.
pub(super) fn from_any<T>(
    wanted: &Fetch<'_>,
    events: &(dyn Fn(Event<'_>) + Sync),
    cancel: &Cancel,
    take: impl Fn(&Client<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut mirror_failure = None;
    let found = wanted.accounts.find(wanted.reference);
    for problem in &found.problems {
        events(Event::Warning(problem));
    }
    for endpoint in endpoints(wanted.registries, wanted.reference)? {
        let (host, role) = (endpoint.host(), endpoint.role);
        let account = found.account.clone();
        let client = Client::new(endpoint, wanted.reference.repository(), account, cancel)?;
        match take(&client) {
            Ok(image) => return Ok(image),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) if role == Role::Mirror => {
                events(Event::Info(&format!("mirror {host}: {error}")));
                mirror_failure = Some(error);
            }
            Err(error) => return Err(with_mirror(error, mirror_failure)),
        }
    }
    Err(Error::Internal("reference without a registry".to_owned()))
}

/// Where only the mirror can be reached, its answer is the one that helps.
fn with_mirror(error: Error, mirror: Option<Error>) -> Error {
    match (error, mirror) {
        (
            Error::Network { message, .. },
            Some(Error::Base {
                message: answer,
                help,
            }),
        ) => Error::Base {
            message: format!("{answer}; {message}"),
            help,
        },
        (error, _) => error,
    }
}

fn fetch_from(
    client: &Client<'_>,
    wanted: &Fetch<'_>,
    events: &(dyn Fn(Event<'_>) + Sync),
) -> Result<FetchedImage, Error> {
    let store = Store::open(wanted)?;
    let (digest, manifest) = find_manifest(client, wanted)?;
    let unusable = |error| unusable(wanted.reference, &error);
    let layers = manifest.extractable_layers().map_err(unusable)?;
    let config = fetch_config(client, &store, &manifest.config)?;
    let config = ImageConfig::parse(&config)
        .map_err(|error| unusable(Unusable::Invalid(format!("its configuration: {error}"))))?;
    warn_of_platform(&config, wanted.platform, events);
    let paths = fetch_layers(client, &store, &layers, events)?;
    // Digests are by position; where the numbers differ they belong to something else.
    let known = config.diff_ids().len() == layers.len();
    let layers = layers
        .iter()
        .zip(paths)
        .enumerate()
        .map(|(position, (layer, path))| LayerBlob {
            path,
            media_type: layer.media_type.clone(),
            digest: layer.digest.to_string(),
            diff_id: config.diff_ids().get(position).filter(|_| known).cloned(),
        });
    Ok(FetchedImage {
        reference: wanted.reference.to_string(),
        manifest_digest: digest.to_string(),
        layers: layers.collect(),
        config: config.config,
    })
}

/// Follows indexes down to the manifest of the platform.
pub(super) fn find_manifest(
    client: &Client<'_>,
    wanted: &Fetch<'_>,
) -> Result<(Digest, Manifest), Error> {
    let mut version = wanted.reference.version().clone();
    for _ in 0..MOST_NESTING {
        let (digest, json) = get_manifest(client, &version)?;
        let document = manifest::parse(&json);
        match document.map_err(|error| unusable(wanted.reference, &error))? {
            Document::Image(manifest) => return Ok((digest, *manifest)),
            Document::Index(entries) => {
                let chosen = manifest::choose(&entries, wanted.platform);
                let chosen = chosen.map_err(|error| unusable(wanted.reference, &error))?;
                version = Version::Digest(chosen.digest.clone());
            }
        }
    }
    Err(unusable(
        wanted.reference,
        &Unusable::Invalid("indexes are nested too deep".to_owned()),
    ))
}

fn get_manifest(client: &Client<'_>, version: &Version) -> Result<(Digest, Vec<u8>), Error> {
    let path = format!("manifests/{version}");
    let response = client.get(Ask {
        path: &path,
        accept: ACCEPTED,
        from: 0,
    })?;
    let mut json = Vec::new();
    let response = Cancellable::new(response, client.cancel());
    let read = response.take(MOST_MANIFEST + 1).read_to_end(&mut json);
    client.check_cancelled()?;
    read.map_err(|error| Error::Network {
        message: format!("connection broke while getting {path}"),
        source: Some(Box::new(error)),
    })?;
    if json.len() as u64 > MOST_MANIFEST {
        return Err(client.nonsense(&path, "a manifest of more than 8 MiB"));
    }
    let digest = match schema1::payload(&json) {
        Some(payload) => Digest::of(&payload),
        None => Digest::of(&json),
    };
    match version {
        Version::Digest(asked) if *asked != digest => {
            Err(client.nonsense(&path, &format!("content with the digest {digest}")))
        }
        _ => Ok((digest, json)),
    }
}

fn fetch_config(client: &Client<'_>, store: &Store, config: &Config) -> Result<Vec<u8>, Error> {
    let config = match config {
        Config::Blob(config) => config,
        Config::Inline(json) => return Ok(json.clone()),
    };
    if config.size.is_some_and(|size| size > MOST_CONFIG) {
        return Err(client.nonsense("the configuration", "one of more than 8 MiB"));
    }
    let path = blob::download(client, store, config, &|_| {})?;
    fs::read(&path).map_err(Error::io("reading", &path))
}

fn warn_of_platform(
    config: &ImageConfig,
    platform: &Platform,
    events: &(dyn Fn(Event<'_>) + Sync),
) {
    let architecture = config.architecture.as_str();
    if !architecture.is_empty() && architecture != platform.architecture() {
        events(Event::Warning(&format!(
            "image is for {architecture}, not for {platform}"
        )));
    }
}

/// Fetches the layers side by side; a layer that occurs twice is fetched once.
fn fetch_layers(
    client: &Client<'_>,
    store: &Store,
    layers: &[&Descriptor],
    events: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Vec<PathBuf>, Error> {
    let mut distinct: Vec<&Descriptor> = Vec::new();
    for layer in layers {
        if !distinct.iter().any(|known| known.digest == layer.digest) {
            distinct.push(layer);
        }
    }
    let line = Line {
        next: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
    };
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(distinct.len()) {
            scope.spawn(|| {
                while let Some(layer) = line.next(&distinct) {
                    let fetched = fetch_layer(client, store, layer, events);
                    line.failed.fetch_or(fetched.is_err(), Ordering::Relaxed);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((layer.digest.clone(), fetched));
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut paths = std::collections::HashMap::new();
    for (digest, fetched) in done {
        paths.insert(digest, fetched?);
    }
    let path = |layer: &&Descriptor| paths.get(&layer.digest).cloned();
    let missing = || Error::Internal("a layer was left out".to_owned());
    layers
        .iter()
        .map(|layer| path(layer).ok_or_else(missing))
        .collect()
}

/// The layers that nobody took yet.
struct Line {
    next: AtomicUsize,
    failed: AtomicBool,
}

impl Line {
    fn next<'a>(&self, layers: &[&'a Descriptor]) -> Option<&'a Descriptor> {
        if self.failed.load(Ordering::Relaxed) {
            return None;
        }
        layers
            .get(self.next.fetch_add(1, Ordering::Relaxed))
            .copied()
    }
}

pub(super) fn fetch_layer(
    client: &Client<'_>,
    store: &Store,
    layer: &Descriptor,
    events: &(dyn Fn(Event<'_>) + Sync),
) -> Result<PathBuf, Error> {
    let step = format!("layer {}", &layer.digest.hex()[..12]);
    let report = |done| {
        events(Event::Progress(Progress {
            step: &step,
            done,
            total: layer.size,
        }));
    };
    let path = blob::download(client, store, layer, &report)?;
    report(layer.size.unwrap_or_default());
    Ok(path)
}

pub(super) fn unusable(reference: &Reference, error: &Unusable) -> Error {
    let help = match error {
        Unusable::NoPlatform { .. } => Some("choose an image that exists for this machine"),
        Unusable::NotSif(_) => Some("images of docker, podman or buildah are `Bootstrap: docker`"),
        Unusable::NotAnImage(kinds) if kinds.contains(".sif.") => {
            Some("SIF images of a registry are `Bootstrap: oras`")
        }
        Unusable::UnknownLayer(_) => {
            Some("tar archives are understood, as they are or compressed with gzip or zstd")
        }
        Unusable::NotAnImage(_) => Some("an image made with docker, podman or buildah is needed"),
        Unusable::Invalid(_) => None,
    };
    Error::Base {
        message: format!("{reference}: {error}"),
        help: help.map(str::to_owned),
    }
}
