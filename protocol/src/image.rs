//! What the hub knows of an image without opening it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Digest;

/// An image as a list of pieces of immutable objects, in order.
///
/// The bytes of the image are the bytes of its extents, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layout(pub Vec<Extent>);

/// A piece of a stored object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// The object.
    pub object: Digest,
    /// Where in the object the piece starts, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

/// Of which pieces an image is made: the answer to `GET /{owner}/{repo}/{file}.sif.layout`, for
/// every address `….sif` of an image.
///
/// A client that has pulled other images may have some of the objects. It asks for the rest of the
/// image with `Range`, and with `If-Range: "sha256:…"`, the digest in quotes: a tag may move
/// between the two. What it puts together has this digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pieces {
    /// SHA-256 of the image.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its pieces, in order.
    pub extents: Vec<Extent>,
}

impl Pieces {
    /// The content type of the answer.
    pub const CONTENT_TYPE: &str = "application/vnd.cooperage.layout+json";
}

impl Layout {
    /// The layout of an image that is one object.
    pub fn of_one_object(object: Digest, length: u64) -> Self {
        Self(vec![Extent {
            object,
            offset: 0,
            length,
        }])
    }

    /// The objects that it has pieces of, each once.
    pub fn objects(&self) -> BTreeSet<Digest> {
        self.0.iter().map(|extent| extent.object).collect()
    }

    /// The size of the image in bytes.
    pub fn size(&self) -> u64 {
        self.0.iter().map(|extent| extent.length).sum()
    }
}

/// What `inspect` would tell of an image; shown on its page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageFacts {
    /// The architecture in Go's spelling (`amd64`, `arm64`).
    pub architecture: String,
    /// The definition, secrets redacted.
    pub definition: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Environment scripts by path in the image.
    pub environment: BTreeMap<String, String>,
    /// The runscript as it lies in the image.
    pub runscript: Option<String>,
    /// The startscript as it lies in the image.
    pub startscript: Option<String>,
    /// The test script as it lies in the image.
    pub test: Option<String>,
    /// The help text.
    pub help: Option<String>,
    /// The base as it was asked for and what it resolved to, if it has a digest.
    pub base: Option<Base>,
}

/// The base an image was built on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Base {
    /// The full reference (`docker://index.docker.io/library/debian:12`).
    pub reference: String,
    /// The digest of the manifest that was used.
    pub digest: Option<String>,
}
