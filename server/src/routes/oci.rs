//! Pulls by `oras://`: the part of the registry protocol that reads.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull>
//!
//! Every image is an artifact of one layer, which is the image's file itself.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::SecondsFormat;
use cooperage_protocol::{CollectionName, Digest};
use serde::Deserialize;
use serde_json::json;

use super::download::{self, Reference};
use crate::db::images::{self, Artifact};
use crate::db::manifests::{self, Pushed, Referrer};
use crate::db::{blobs, tags, views};
use crate::error::Error;
use crate::registry::manifest::{INDEX, MANIFEST, SIF_LAYER};
use crate::registry::push::EMPTY;
use crate::registry::{Code, RegistryError};
use crate::rights::{self, Collection, Visit};
use crate::state::Hub;

const CONFIG: &str = "application/vnd.sylabs.sif.config.v1+json";

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The most names on a page of a list.
const MOST_NAMES: usize = 1000;

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
        .route(
            "/v2/{owner}/{repository}/referrers/{digest}",
            get(referrers),
        )
        .route("/v2/_catalog", get(catalog))
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
    let token = rights::registry::issue(&hub, &visit, &scopes)?;
    let unkept = [(header::CACHE_CONTROL, "no-store")];
    let body = json!({
        "token": token, "access_token": token, "expires_in": rights::registry::SECONDS,
        "issued_at": chrono::Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
    });
    Ok((unkept, Json(body)).into_response())
}

async fn manifest(
    State(hub): State<Hub>,
    visit: Visit,
    Path((owner, repository, reference)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, RegistryError> {
    let Some(collection) = &visit.collection else {
        return Err(unknown(Code::NameUnknown)(download::no_collection(
            &owner,
            &repository,
        )));
    };
    if let Some(pushed) = pushed(&hub, collection, &reference).await? {
        return Ok(answer(&pushed.media_type, pushed.content, &headers));
    }
    let name = parse_name(&owner, &repository)?;
    let artifact = find(&hub, &name, &reference).await;
    let artifact = artifact.map_err(unknown(Code::ManifestUnknown))?;
    Ok(answer(MANIFEST, text_of(&artifact), &headers))
}

/// The manifest that was pushed under this name, if one was.
async fn pushed(
    hub: &Hub,
    collection: &Collection,
    reference: &str,
) -> Result<Option<Pushed>, RegistryError> {
    Ok(match reference.parse::<Digest>() {
        Ok(digest) => manifests::find(&hub.db, collection.id, digest).await?,
        Err(_) => manifests::of_tag(&hub.db, collection.id, reference).await?,
    })
}

fn answer(media_type: &str, text: Vec<u8>, request: &HeaderMap) -> Response {
    let digest = Digest::of(&text).to_string();
    let etag = format!("\"{digest}\"");
    let is_known = request
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let described = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::ETAG, etag),
        (CONTENT_DIGEST, digest),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, described).into_response();
    }
    (described, text).into_response()
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
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": CONFIG, "digest": Digest::of(EMPTY), "size": EMPTY.len(), "data": "e30=",
        },
        "layers": [{
            "mediaType": SIF_LAYER, "digest": artifact.digest, "size": artifact.size_bytes,
            "annotations": { "org.opencontainers.image.title": artifact.title },
        }],
        "annotations": {
            "org.opencontainers.image.created":
                artifact.created_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        },
    });
    if let Some(commit) = &artifact.commit {
        manifest["annotations"]["org.opencontainers.image.revision"] = json!(commit);
    }
    manifest.to_string().into_bytes()
}

async fn blob(
    State(hub): State<Hub>,
    visit: Visit,
    Path((owner, repository, digest)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, RegistryError> {
    let unknown = unknown(Code::BlobUnknown);
    let name = parse_name(&owner, &repository)?;
    let digest: Digest = digest
        .parse()
        .map_err(|error| RegistryError::bad(Code::DigestInvalid, format!("{error}")))?;
    let pushed = match &visit.collection {
        Some(collection) => blobs::find(&hub.db, collection.id, digest).await?,
        None => None,
    };
    let mut response = if let Some(pushed) = pushed {
        download::serve_blob(&hub, (digest, &pushed), &headers)?
    } else if digest == Digest::of(EMPTY) {
        ([(header::CONTENT_TYPE, "application/octet-stream")], EMPTY).into_response()
    } else {
        let reference = Reference::Digest(digest);
        let image = download::find(&hub, &name, &reference).await;
        let image = image.map_err(&unknown)?;
        download::serve(&hub, &image, &reference, &headers)?
    };
    let digest = HeaderValue::from_str(&digest.to_string())
        .map_err(|error| Error::Internal(error.into()))?;
    response.headers_mut().insert(CONTENT_DIGEST, digest);
    Ok(response)
}

#[derive(Deserialize)]
struct Page {
    n: Option<usize>,
    last: Option<String>,
}

async fn tags(
    State(hub): State<Hub>,
    visit: Visit,
    Path((owner, repository)): Path<(String, String)>,
    Query(page): Query<Page>,
) -> Result<Response, RegistryError> {
    let Some(collection) = visit.collection else {
        return Err(unknown(Code::NameUnknown)(download::no_collection(
            &owner,
            &repository,
        )));
    };
    let name = collection.name.to_lowercase();
    let tags = tags::names(&hub.db, collection.id).await?;
    let (tags, next) = page.of(tags, &format!("/v2/{name}/tags/list"));
    Ok((next, Json(json!({ "name": name, "tags": tags }))).into_response())
}

/// The collections that the caller sees.
async fn catalog(
    State(hub): State<Hub>,
    visit: Visit,
    Query(page): Query<Page>,
) -> Result<Response, RegistryError> {
    let collections =
        views::collections(&hub.db, "", visit.caller.sight(), views::Window::ALL).await?;
    let names = collections.into_iter().map(|it| it.name.to_lowercase());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    let (names, next) = page.of(names, "/v2/_catalog");
    Ok((next, Json(json!({ "repositories": names }))).into_response())
}

impl Page {
    /// A page of a sorted list, and the address of the next one.
    fn of(self, mut list: Vec<String>, path: &str) -> (Vec<String>, HeaderMap) {
        if let Some(last) = self.last {
            list.retain(|name| *name > last);
        }
        let most = self.n.unwrap_or(MOST_NAMES).min(MOST_NAMES);
        let is_cut = list.len() > most;
        list.truncate(most);
        let mut headers = HeaderMap::new();
        if let Some(last) = list.last().filter(|_| is_cut) {
            let link = format!(
                "<{path}?n={most}&last={}>; rel=\"next\"",
                last.replace('/', "%2F")
            );
            headers.extend(HeaderValue::from_str(&link).map(|link| (header::LINK, link)));
        }
        (list, headers)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    artifact_type: Option<String>,
}

/// The manifests that say something about this one.
async fn referrers(
    State(hub): State<Hub>,
    visit: Visit,
    Path((owner, repository, digest)): Path<(String, String, String)>,
    Query(filter): Query<Filter>,
) -> Result<Response, RegistryError> {
    let Some(collection) = visit.collection else {
        return Err(unknown(Code::NameUnknown)(download::no_collection(
            &owner,
            &repository,
        )));
    };
    let digest: Digest = digest
        .parse()
        .map_err(|error| RegistryError::bad(Code::DigestInvalid, format!("{error}")))?;
    let mut referrers = manifests::referrers(&hub.db, collection.id, digest).await?;
    let mut headers = HeaderMap::new();
    if let Some(wanted) = filter.artifact_type {
        referrers.retain(|referrer| referrer.artifact_type.as_ref() == Some(&wanted));
        headers.insert(
            "oci-filters-applied",
            HeaderValue::from_static("artifactType"),
        );
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(INDEX));
    let listed: Vec<_> = referrers.into_iter().map(listing).collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed });
    Ok((headers, index.to_string()).into_response())
}

fn listing(referrer: Referrer) -> serde_json::Value {
    let mut listing = json!({
        "mediaType": referrer.media_type, "digest": referrer.digest, "size": referrer.size,
    });
    if let Some(artifact_type) = referrer.artifact_type {
        listing["artifactType"] = artifact_type.into();
    }
    if !referrer.annotations.is_empty() {
        listing["annotations"] = json!(referrer.annotations.0);
    }
    listing
}

/// Gives an error the code that fits the route, unless it is another kind of error.
fn unknown(code: Code) -> impl Fn(Error) -> RegistryError {
    move |error| match error {
        Error::NotFound(_) => RegistryError::new(code, error),
        other => other.into(),
    }
}

fn parse_name(owner: &str, repository: &str) -> Result<CollectionName, RegistryError> {
    download::parse_collection(owner, repository).map_err(unknown(Code::NameUnknown))
}
