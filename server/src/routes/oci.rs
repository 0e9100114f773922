//! Pulls by `oras://`: the part of the registry protocol that reads.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull>
//!
//! Every image is an artifact of one layer, which is the image's file itself.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::SecondsFormat;
use cooperage_protocol::{CollectionName, Digest};
use serde::Deserialize;
use serde_json::json;

use super::download::{self, Reference};
use crate::db::images::{self, Artifact};
use crate::db::views::{self, ImageFilter};
use crate::error::Error;
use crate::rights::{self, Visit, registry};
use crate::state::Hub;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.sylabs.sif.config.v1+json";
const LAYER: &str = "application/vnd.sylabs.sif.layer.v1.sif";

/// The configuration of every image: it says all there is to say itself.
const EMPTY: &[u8] = b"{}";

const MOST_TAGS: usize = 1000;

/// The routes of `oras://`.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/v2/", get(is_registry))
        .route("/v2", get(is_registry))
        .route("/v2/token", get(token))
        .route(
            "/v2/{owner}/{repository}/manifests/{reference}",
            get(manifest),
        )
        .route("/v2/{owner}/{repository}/blobs/{digest}", get(blob))
        .route("/v2/{owner}/{repository}/tags/list", get(tags))
}

/// Whoever brings no token is told where to get one: clients with an account ask here first, and
/// bring it nowhere when they are not asked.
async fn is_registry(State(hub): State<Hub>, headers: HeaderMap) -> Response {
    let version = [("docker-distribution-api-version", "registry/2.0")];
    if headers.contains_key(header::AUTHORIZATION) {
        return (version, Json(json!({}))).into_response();
    }
    (version, rights::challenge(&hub, None)).into_response()
}

/// Gives a token for minutes in place of the one that the caller has, or of none.
/// <https://distribution.github.io/distribution/spec/auth/token/>
async fn token(
    State(hub): State<Hub>,
    visit: Visit,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, RegistryError> {
    let scopes = query.into_iter().filter(|(name, _)| name == "scope");
    let scopes = scopes.flat_map(|(_, value)| {
        let scopes: Vec<_> = value.split(' ').map(ToOwned::to_owned).collect();
        scopes
    });
    let scopes: Vec<_> = scopes.collect();
    let token = registry::issue(&hub, &visit, &scopes);
    let token = token.map_err(|error| RegistryError("UNAUTHORIZED", error))?;
    let unkept = [(header::CACHE_CONTROL, "no-store")];
    let body = json!({
        "token": token, "access_token": token, "expires_in": registry::SECONDS,
        "issued_at": chrono::Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
    });
    Ok((unkept, Json(body)).into_response())
}

async fn manifest(
    State(hub): State<Hub>,
    Path((owner, repository, reference)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, RegistryError> {
    let unknown = |error| RegistryError("MANIFEST_UNKNOWN", error);
    let name = parse_name(&owner, &repository)?;
    let artifact = find(&hub, &name, &reference).await.map_err(unknown)?;
    let text = text_of(&artifact);
    let digest = Digest::of(&text).to_string();
    let etag = format!("\"{digest}\"");
    let is_known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let described = [
        (header::CONTENT_TYPE, MANIFEST.to_owned()),
        (header::ETAG, etag),
        (
            header::HeaderName::from_static("docker-content-digest"),
            digest,
        ),
    ];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, described).into_response());
    }
    Ok((described, text).into_response())
}

async fn find(hub: &Hub, name: &CollectionName, reference: &str) -> Result<Artifact, Error> {
    let missing = || download::explain_missing(hub, name);
    if reference.starts_with("sha256:") {
        let artifacts = images::artifacts(&hub.db, name).await?;
        let named = artifacts
            .into_iter()
            .find(|artifact| Digest::of(&text_of(artifact)).to_string() == reference);
        return match named {
            Some(artifact) => Ok(artifact),
            None => Err(missing().await?),
        };
    }
    let Ok(tag) = reference.parse() else {
        return Err(missing().await?);
    };
    let image = download::find(hub, name, &Reference::Tag(tag)).await?;
    Ok(Artifact {
        title: format!("{}_{}.sif", name.repository(), image.built_for).to_lowercase(),
        digest: image.digest,
        size_bytes: image.size_bytes,
        commit: image.commit,
        created_at: image.created_at,
    })
}

/// The manifest's text. The same image always has the same, and so the same digest.
fn text_of(artifact: &Artifact) -> Vec<u8> {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": CONFIG, "digest": Digest::of(EMPTY), "size": EMPTY.len(), "data": "e30=",
        },
        "layers": [{
            "mediaType": LAYER, "digest": artifact.digest, "size": artifact.size_bytes,
            "annotations": { "org.opencontainers.image.title": artifact.title },
        }],
        "annotations": {
            "org.opencontainers.image.created":
                artifact.created_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "org.opencontainers.image.revision": artifact.commit,
        },
    });
    manifest.to_string().into_bytes()
}

async fn blob(
    State(hub): State<Hub>,
    Path((owner, repository, digest)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, RegistryError> {
    let unknown = |error| RegistryError("BLOB_UNKNOWN", error);
    let name = parse_name(&owner, &repository)?;
    let digest: Digest = digest
        .parse()
        .map_err(|error| unknown(Error::NotFound(format!("{error}"))))?;
    let mut response = if digest == Digest::of(EMPTY) {
        configuration(&hub, &name).await.map_err(unknown)?
    } else {
        let reference = Reference::Digest(digest);
        let image = download::find(&hub, &name, &reference).await;
        let image = image.map_err(unknown)?;
        download::serve(&hub, &image, &reference, &headers).map_err(unknown)?
    };
    let digest = HeaderValue::from_str(&digest.to_string())
        .map_err(|error| unknown(Error::Internal(error.into())))?;
    response
        .headers_mut()
        .insert("docker-content-digest", digest);
    Ok(response)
}

/// The configuration is in every collection that has an image, and in no other.
async fn configuration(hub: &Hub, name: &CollectionName) -> Result<Response, Error> {
    let any = views::images(&hub.db, name, &ImageFilter::default(), 1).await?;
    if any.is_empty() {
        return Err(download::explain_missing(hub, name).await?);
    }
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], EMPTY).into_response())
}

#[derive(Deserialize)]
struct Page {
    n: Option<usize>,
    last: Option<String>,
}

async fn tags(
    State(hub): State<Hub>,
    Path((owner, repository)): Path<(String, String)>,
    Query(page): Query<Page>,
) -> Result<Response, RegistryError> {
    let unknown = |error| RegistryError("NAME_UNKNOWN", error);
    let name = parse_name(&owner, &repository)?;
    let collection = views::collection(&hub.db, &name).await;
    let collection = collection.map_err(|error| unknown(error.into()))?;
    let Some(mut collection) = collection else {
        return Err(unknown(download::no_collection(&owner, &repository)));
    };
    collection.tags.sort_unstable();
    let after = page.last.unwrap_or_default();
    let mut tags: Vec<_> = collection
        .tags
        .into_iter()
        .filter(|tag| *tag > after)
        .collect();
    let most = page.n.unwrap_or(MOST_TAGS).min(MOST_TAGS);
    let is_cut = tags.len() > most;
    tags.truncate(most);
    let name = name.to_string().to_lowercase();
    let next = tags.last().filter(|_| is_cut).map(|last| {
        let link = format!("</v2/{name}/tags/list?n={most}&last={last}>; rel=\"next\"");
        [(header::LINK, link)]
    });
    let list = Json(json!({ "name": name, "tags": tags }));
    Ok(match next {
        Some(next) => (next, list).into_response(),
        None => list.into_response(),
    })
}

fn parse_name(owner: &str, repository: &str) -> Result<CollectionName, RegistryError> {
    download::parse_collection(owner, repository)
        .map_err(|error| RegistryError("NAME_UNKNOWN", error))
}

/// An error as clients of registries read it, with its code.
struct RegistryError(&'static str, Error);

impl IntoResponse for RegistryError {
    fn into_response(self) -> Response {
        let Self(code, error) = self;
        let status = error.status();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            return error.into_response();
        }
        let error = json!({ "code": code, "message": error.to_string() });
        (status, Json(json!({ "errors": [error] }))).into_response()
    }
}
