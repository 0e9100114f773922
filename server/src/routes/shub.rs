//! The manifest that `singularity pull shub://…` and `apptainer pull shub://…` ask for.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use cooperage_protocol::{CollectionName, Tag};
use serde::Serialize;

use super::download;
use crate::db::views::{self, ImageFilter, ImageRow};
use crate::error::Error;
use crate::pages;
use crate::state::Hub;

/// The routes of `shub://`.
pub(super) fn router() -> Router<Hub> {
    Router::new().route("/api/container/{owner}/{reference}", get(manifest))
}

/// What the clients read. They use `image` and `commit`: the first is downloaded, the second is
/// part of the name in their cache, so it must differ between images.
#[derive(Debug, Serialize)]
struct Manifest {
    image: String,
    name: String,
    tag: String,
    version: String,
    commit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    git_commit: Option<String>,
}

/// The collection of a reference.
pub(crate) fn collection_of(owner: &str, reference: &str) -> Result<CollectionName, Error> {
    Reference::parse(owner, reference).map(|reference| reference.collection)
}

async fn manifest(
    State(hub): State<Hub>,
    Path((owner, reference)): Path<(String, String)>,
) -> Result<Json<Manifest>, Error> {
    let reference = Reference::parse(&owner, &reference)?;
    let image = find(&hub, &reference).await?;
    let hex = image.digest()?.hex();
    let tag = reference
        .tag
        .map_or_else(|| image.built_for.clone(), |tag| tag.to_string());
    Ok(Json(Manifest {
        image: pages::url(&hub, &format!("/{}/{}.sif", image.collection, image.digest)),
        name: image.collection,
        tag,
        version: image.md5,
        commit: hex[..40].to_owned(),
        git_commit: image.commit,
    }))
}

/// `owner` and `repo[:tag][@digest]`; the tag is `latest` only when there is no digest either.
#[derive(Debug)]
struct Reference {
    collection: CollectionName,
    tag: Option<Tag>,
    digest: Option<String>,
}

impl Reference {
    fn parse(owner: &str, reference: &str) -> Result<Self, Error> {
        let (rest, digest) = match reference.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_ascii_lowercase())),
            None => (reference, None),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        let tag = match tag {
            Some(tag) => Some(
                tag.parse()
                    .map_err(|error| Error::NotFound(format!("{error}")))?,
            ),
            None if digest.is_none() => Some(Tag::latest()),
            None => None,
        };
        Ok(Self {
            collection: download::parse_collection(owner, repository)?,
            tag,
            digest,
        })
    }

    /// What to look for, one after the other.
    fn filters(&self) -> Vec<ImageFilter> {
        let Some(digest) = &self.digest else {
            return vec![ImageFilter {
                tag: self.tag.clone(),
                ..ImageFilter::default()
            }];
        };
        let of_tag = ImageFilter {
            built_for: self.tag.clone(),
            ..ImageFilter::default()
        };
        let hex = digest.trim_start_matches("sha256:").to_owned();
        let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        match (is_hex, hex.len()) {
            (true, 32) => vec![ImageFilter {
                md5: Some(hex),
                ..of_tag
            }],
            (true, 40) => vec![
                ImageFilter {
                    commit: Some(hex.clone()),
                    ..of_tag.clone()
                },
                ImageFilter {
                    sha256: Some(hex),
                    ..of_tag
                },
            ],
            (true, 64) => vec![ImageFilter {
                sha256: Some(hex),
                ..of_tag
            }],
            _ => Vec::new(),
        }
    }
}

/// A digest that names several images names none, unless a tag says which: builds of one tag and
/// commit replace each other, builds of different tags do not.
async fn find(hub: &Hub, reference: &Reference) -> Result<ImageRow, Error> {
    for filter in reference.filters() {
        let mut images = views::images(&hub.db, &reference.collection, &filter, 100).await?;
        let is_one = images
            .windows(2)
            .all(|pair| pair[0].digest == pair[1].digest);
        if !images.is_empty() && (is_one || reference.tag.is_some()) {
            return Ok(images.swap_remove(0));
        }
        if !images.is_empty() {
            return Err(ambiguous(reference, &images));
        }
    }
    Err(download::explain_missing(hub, &reference.collection).await?)
}

fn ambiguous(reference: &Reference, images: &[ImageRow]) -> Error {
    let mut tags: Vec<_> = images
        .iter()
        .map(|image| image.built_for.as_str())
        .collect();
    tags.sort_unstable();
    tags.dedup();
    Error::NotFound(format!(
        "{}@{} names several images; say which with one of the tags {}",
        reference.collection,
        reference.digest.as_deref().unwrap_or_default(),
        tags.join(", ")
    ))
}
