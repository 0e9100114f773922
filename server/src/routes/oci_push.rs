//! Pushes by `oras://` and other clients of registries: the part of the protocol that writes.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push>

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use cooperage_protocol::{CollectionId, Digest, PushId};
use serde::Deserialize;

use crate::db::pushes::Push;
use crate::error::Error;
use crate::registry::manifest::{LARGEST, Manifest};
use crate::registry::push::Reference;
use crate::registry::{Code, RegistryError, push, remove, upload};
use crate::rights::Visit;
use crate::state::Hub;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// The routes of pushes.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/v2/{owner}/{repository}/blobs/uploads", post(begin))
        .route("/v2/{owner}/{repository}/blobs/uploads/", post(begin))
        .route(
            "/v2/{owner}/{repository}/blobs/uploads/{id}",
            get(tell).patch(send_part).put(finish).delete(cancel),
        )
        .route(
            "/v2/{owner}/{repository}/blobs/{digest}",
            delete(delete_blob),
        )
        .route(
            "/v2/{owner}/{repository}/manifests/{reference}",
            put(put_manifest).delete(delete_manifest),
        )
}

/// Where something is pushed, and by whom.
struct Target {
    push: Push,
    /// The collection's name as registries write it.
    name: String,
}

impl Target {
    fn of(visit: &Visit) -> Result<Self, RegistryError> {
        let (Some(collection), Some(person)) = (&visit.collection, visit.caller.person()) else {
            let guard = anyhow::anyhow!("a push without a guard");
            return Err(Error::Internal(guard).into());
        };
        Ok(Self {
            push: Push {
                collection: collection.id,
                user: person.id,
            },
            name: collection.name.to_lowercase(),
        })
    }

    /// Where an upload goes on, and how far it is.
    fn upload(&self, id: PushId, length: u64) -> [(HeaderName, String); 3] {
        [
            (
                header::LOCATION,
                format!("/v2/{}/blobs/uploads/{id}", self.name),
            ),
            // The clients know no way to say that there is nothing.
            (header::RANGE, format!("0-{}", length.saturating_sub(1))),
            (UPLOAD_ID, id.to_string()),
        ]
    }

    fn created(&self, kind: &str, digest: Digest) -> Response {
        let headers = [
            (
                header::LOCATION,
                format!("/v2/{}/{kind}/{digest}", self.name),
            ),
            (CONTENT_DIGEST, digest.to_string()),
        ];
        (StatusCode::CREATED, headers).into_response()
    }
}

#[derive(Deserialize)]
struct Begin {
    digest: Option<String>,
    mount: Option<String>,
    from: Option<String>,
}

async fn begin(
    State(hub): State<Hub>,
    visit: Visit,
    Query(query): Query<Begin>,
    request: Request,
) -> Result<Response, RegistryError> {
    let target = Target::of(&visit)?;
    if let (Some(digest), Some(from)) = (query.mount, query.from) {
        let digest = parse_digest(&digest)?;
        let mounted = match from.parse() {
            Ok(from) => {
                let ways = (&from, target.push.collection);
                upload::mount(&hub, &visit.caller, ways, digest).await?
            }
            Err(_) => false,
        };
        if mounted {
            return Ok(target.created("blobs", digest));
        }
    }
    let digest = query.digest.as_deref().map(parse_digest).transpose()?;
    let id = upload::begin(&hub, target.push).await?;
    let Some(digest) = digest else {
        return Ok((StatusCode::ACCEPTED, target.upload(id, 0)).into_response());
    };
    take(&hub, (id, &target), None, request).await?;
    upload::finish(&hub, (id, target.push), digest).await?;
    Ok(target.created("blobs", digest))
}

async fn tell(
    State(hub): State<Hub>,
    visit: Visit,
    Path((_, _, id)): Path<(String, String, String)>,
) -> Result<Response, RegistryError> {
    let target = Target::of(&visit)?;
    let id = parse_id(&id)?;
    let length = upload::length(&hub, id, target.push).await?;
    Ok((StatusCode::NO_CONTENT, target.upload(id, length)).into_response())
}

async fn send_part(
    State(hub): State<Hub>,
    visit: Visit,
    Path((_, _, id)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, RegistryError> {
    let target = Target::of(&visit)?;
    let id = parse_id(&id)?;
    let offset = offset(request.headers())?;
    match take(&hub, (id, &target), offset, request).await {
        Ok(length) => Ok((StatusCode::ACCEPTED, target.upload(id, length)).into_response()),
        Err(error) if error.is_wrong_offset() => {
            let length = upload::length(&hub, id, target.push).await?;
            Ok((target.upload(id, length), error).into_response())
        }
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct Finish {
    digest: Option<String>,
}

async fn finish(
    State(hub): State<Hub>,
    visit: Visit,
    Path((_, _, id)): Path<(String, String, String)>,
    Query(query): Query<Finish>,
    request: Request,
) -> Result<Response, RegistryError> {
    let target = Target::of(&visit)?;
    let id = parse_id(&id)?;
    let digest = parse_digest(query.digest.as_deref().unwrap_or_default())?;
    let offset = offset(request.headers())?;
    take(&hub, (id, &target), offset, request).await?;
    upload::finish(&hub, (id, target.push), digest).await?;
    Ok(target.created("blobs", digest))
}

async fn cancel(
    State(hub): State<Hub>,
    visit: Visit,
    Path((_, _, id)): Path<(String, String, String)>,
) -> Result<StatusCode, RegistryError> {
    let target = Target::of(&visit)?;
    upload::cancel(&hub, parse_id(&id)?, target.push).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn take(
    hub: &Hub,
    (id, target): (PushId, &Target),
    offset: Option<u64>,
    request: Request,
) -> Result<u64, RegistryError> {
    let body = request.into_body().into_data_stream();
    upload::append(hub, (id, target.push), (offset, false), body).await
}

/// Where a part begins: `Content-Range: FIRST-LAST`, or as HTTP writes it elsewhere.
fn offset(headers: &HeaderMap) -> Result<Option<u64>, RegistryError> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let range = text.trim_start_matches("bytes").trim();
    let range = range.split('/').next().unwrap_or_default();
    let parsed = range.split_once('-').and_then(|(first, last)| {
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        Some((first, last.checked_add(1)?.checked_sub(first)?))
    });
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    match parsed {
        Some((first, count)) if length.is_none_or(|length: u64| length == count) => Ok(Some(first)),
        _ => {
            let message =
                format!("Content-Range {text:?} is not FIRST-LAST for the length of the body");
            Err(RegistryError::bad(Code::BlobUploadInvalid, message))
        }
    }
}

async fn put_manifest(
    State(hub): State<Hub>,
    visit: Visit,
    Path((_, _, reference)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, RegistryError> {
    let target = Target::of(&visit)?;
    let reference = Reference::parse(&reference)?;
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let content_type = content_type.as_ref().and_then(|it| it.to_str().ok());
    let text = to_bytes(request.into_body(), LARGEST).await.map_err(|_| {
        let message = format!("the manifest is not whole, or has more than {LARGEST} bytes");
        RegistryError::new(Code::SizeInvalid, Error::TooLarge(message))
    })?;
    let manifest = Manifest::parse(content_type.unwrap_or_default(), &text)?;
    push::put(&hub, target.push, &reference, (&manifest, &text)).await?;
    let mut response = target.created("manifests", manifest.digest);
    if let Some(subject) = manifest.subject {
        let subject = subject.to_string().parse();
        let subject =
            subject.map_err(|error: header::InvalidHeaderValue| anyhow::Error::new(error));
        response
            .headers_mut()
            .insert(SUBJECT, subject.map_err(Error::Internal)?);
    }
    Ok(response)
}

async fn delete_manifest(
    State(hub): State<Hub>,
    visit: Visit,
    Path((_, _, reference)): Path<(String, String, String)>,
) -> Result<StatusCode, RegistryError> {
    let reference = Reference::parse(&reference)?;
    remove::manifest(&hub, collection(&visit)?, &reference).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn delete_blob(
    State(hub): State<Hub>,
    visit: Visit,
    Path((_, _, digest)): Path<(String, String, String)>,
) -> Result<StatusCode, RegistryError> {
    remove::blob(&hub, collection(&visit)?, parse_digest(&digest)?).await?;
    Ok(StatusCode::ACCEPTED)
}

fn collection(visit: &Visit) -> Result<CollectionId, RegistryError> {
    Target::of(visit).map(|target| target.push.collection)
}

fn parse_id(text: &str) -> Result<PushId, RegistryError> {
    text.parse().map_err(|_| {
        let message = format!("there is no upload {text:?}");
        RegistryError::missing(Code::BlobUploadUnknown, message)
    })
}

fn parse_digest(text: &str) -> Result<Digest, RegistryError> {
    text.parse()
        .map_err(|error| RegistryError::bad(Code::DigestInvalid, format!("{error}")))
}
