//! Pulls over plain http: the file of an image, whole or in part.

use std::time::SystemTime;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use axum_extra::headers::{ETag, HeaderMapExt as _, LastModified};
use base64::Engine as _;
use cooperage_protocol::image::{Layout, Pieces};
use cooperage_protocol::{CollectionName, Digest, Tag};

use super::conditional::{self, Answer, Validators};
use crate::db::blobs::Blob;
use crate::db::views::{self, ImageFilter, ImageRow};
use crate::downloads::Served;
use crate::error::Error;
use crate::state::Hub;
use crate::store::Store;

/// The routes of files.
pub(super) fn router() -> Router<Hub> {
    Router::new().route("/{owner}/{repository}/{file}", get(download))
}

async fn download(
    State(hub): State<Hub>,
    Path((owner, repository, file)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let name = parse_collection(&owner, &repository)?;
    let (reference, form) = parse_file(&file)?;
    let image = find(&hub, &name, &reference).await?;
    let file_name = reference.file_name(&image);
    match form {
        Form::Image => serve(&hub, &image, &reference, &headers),
        Form::Checksum => Ok(checksum(&image, &file_name)),
        Form::Layout => pieces(&image, &reference),
    }
}

/// Reads a collection's name from a path; a name that cannot exist does not exist.
pub(crate) fn parse_collection(owner: &str, repository: &str) -> Result<CollectionName, Error> {
    format!("{owner}/{repository}")
        .parse()
        .map_err(|_| no_collection(owner, repository))
}

pub(super) fn no_collection(owner: &str, repository: &str) -> Error {
    Error::NotFound(format!("there is no collection {owner}/{repository}"))
}

/// How a path names an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// What the tag points at now.
    Tag(Tag),
    /// What was built for the tag at a commit.
    TagAtCommit(Tag, String),
    /// The file of this digest.
    Digest(Digest),
}

/// What is asked for of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Image,
    Checksum,
    Layout,
}

impl Reference {
    pub(super) fn filter(&self) -> ImageFilter {
        match self.clone() {
            Self::Tag(tag) => ImageFilter {
                tag: Some(tag),
                ..ImageFilter::default()
            },
            Self::TagAtCommit(tag, commit) => ImageFilter {
                built_for: Some(tag),
                commit: Some(commit),
                ..ImageFilter::default()
            },
            Self::Digest(digest) => ImageFilter {
                sha256: Some(digest.hex()),
                ..ImageFilter::default()
            },
        }
    }

    fn file_name(&self, image: &ImageRow) -> String {
        let repository = image.collection.rsplit('/').next().unwrap_or_default();
        match self {
            Self::Tag(tag) => format!("{repository}_{tag}.sif"),
            Self::TagAtCommit(tag, commit) => format!("{repository}_{tag}_{commit}.sif"),
            Self::Digest(digest) => format!("{repository}_{}.sif", digest.short()),
        }
    }
}

fn parse_file(file: &str) -> Result<(Reference, Form), Error> {
    let not_found = || {
        Error::NotFound(format!(
            "{file:?} is not TAG.sif, TAG@COMMIT.sif or sha256:DIGEST.sif, nor one of them with \
             .sha256 or .layout behind it"
        ))
    };
    let (file, form) = match file.rsplit_once('.') {
        Some((file, "sha256")) => (file, Form::Checksum),
        Some((file, "layout")) => (file, Form::Layout),
        _ => (file, Form::Image),
    };
    let name = file.strip_suffix(".sif").ok_or_else(not_found)?;
    let reference = match name.split_once('@') {
        _ if name.starts_with("sha256:") => {
            Reference::Digest(name.parse().map_err(|_| not_found())?)
        }
        Some((tag, commit)) if is_commit(commit) => {
            Reference::TagAtCommit(tag.parse().map_err(|_| not_found())?, commit.to_owned())
        }
        Some(_) => return Err(not_found()),
        None => Reference::Tag(name.parse().map_err(|_| not_found())?),
    };
    Ok((reference, form))
}

fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The image of this name, or a word on what there is instead.
pub(super) async fn find(
    hub: &Hub,
    name: &CollectionName,
    what: &Reference,
) -> Result<ImageRow, Error> {
    match views::images(&hub.db, name, &what.filter(), 1).await?.pop() {
        Some(image) => Ok(image),
        None => Err(explain_missing(hub, name).await?),
    }
}

/// Says what there is instead: most who ask for `latest` do not know that there is none.
pub(crate) async fn explain_missing(hub: &Hub, name: &CollectionName) -> Result<Error, Error> {
    let Some(collection) = views::collection(&hub.db, name).await? else {
        return Ok(no_collection(name.owner(), name.repository()));
    };
    let name = collection.name;
    Ok(Error::NotFound(if collection.tags.is_empty() {
        format!("{name} has no images yet")
    } else {
        format!(
            "{name} has no such image; its tags are {}",
            collection.tags.join(", ")
        )
    }))
}

fn checksum(image: &ImageRow, file_name: &str) -> Response {
    let hex = image.digest.trim_start_matches("sha256:");
    format!("{hex}  {file_name}\n").into_response()
}

/// Of which objects the image is made, for clients that have some of them.
fn pieces(image: &ImageRow, reference: &Reference) -> Result<Response, Error> {
    let pieces = Pieces {
        digest: image.digest()?,
        size: image.size(),
        extents: image.layout.0.0.clone(),
    };
    let content_type = HeaderValue::from_static(Pieces::CONTENT_TYPE);
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, cache_control(reference)),
    ];
    Ok((headers, Json(pieces)).into_response())
}

/// The file of an image, or the part of it that the request asks for.
pub(super) fn serve(
    hub: &Hub,
    image: &ImageRow,
    reference: &Reference,
    request: &HeaderMap,
) -> Result<Response, Error> {
    let modified = match reference {
        Reference::Tag(_) => image.moved_at,
        Reference::TagAtCommit(..) | Reference::Digest(_) => image.created_at,
    };
    let validators = Validators {
        etag: etag(image)?,
        modified: SystemTime::from(modified),
    };
    let cached = cache_control(reference);
    let (mut response, answer) = serve_bytes(hub, &image.layout, (validators, cached), request)?;
    if let Some(served) = served(image.digest()?, answer, image.size()) {
        response.extensions_mut().insert(served);
        let file_name = reference.file_name(image);
        describe(response.headers_mut(), image, &file_name)?;
    }
    Ok(response)
}

/// A blob that was pushed and is no image.
pub(super) fn serve_blob(
    hub: &Hub,
    (digest, blob): (Digest, &Blob),
    request: &HeaderMap,
) -> Result<Response, Error> {
    let size = u64::try_from(blob.size_bytes).map_err(internal)?;
    let layout = Layout::of_one_object(digest, size);
    let validators = Validators {
        etag: format!("\"{digest}\"").parse().map_err(internal)?,
        modified: SystemTime::from(blob.created_at),
    };
    let cached = cache_control(&Reference::Digest(digest));
    let (mut response, answer) = serve_bytes(hub, &layout, (validators, cached), request)?;
    if let Some(served) = served(digest, answer, size) {
        response.extensions_mut().insert(served);
        let content_type = HeaderValue::from_static("application/octet-stream");
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
    }
    Ok(response)
}

fn serve_bytes(
    hub: &Hub,
    layout: &Layout,
    (validators, cached): (Validators, HeaderValue),
    request: &HeaderMap,
) -> Result<(Response, Answer), Error> {
    let size = layout.size();
    let answer = conditional::decide(request, &validators, size);
    let mut response = match answer {
        Answer::Full => part(&hub.store, layout, 0, size)?,
        Answer::Part { start, end } => part(&hub.store, layout, start, end)?,
        Answer::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Answer::PreconditionFailed => StatusCode::PRECONDITION_FAILED.into_response(),
        Answer::Unsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
    };
    if let Some((status, range)) = content_range(answer, size) {
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(header::CONTENT_RANGE, value(&range)?);
    }
    let headers = response.headers_mut();
    headers.typed_insert(validators.etag);
    headers.typed_insert(LastModified::from(validators.modified));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, cached);
    Ok((response, answer))
}

fn served(digest: Digest, answer: Answer, size: u64) -> Option<Served> {
    let (from, end) = match answer {
        Answer::Full => (0, size),
        Answer::Part { start, end } => (start, end),
        Answer::NotModified | Answer::PreconditionFailed | Answer::Unsatisfiable => return None,
    };
    Some(Served {
        digest,
        from,
        bytes: end - from,
        size,
    })
}

fn etag(image: &ImageRow) -> Result<ETag, Error> {
    format!("\"{}\"", image.digest).parse().map_err(internal)
}

fn content_range(answer: Answer, size: u64) -> Option<(StatusCode, String)> {
    match answer {
        Answer::Part { start, end } => Some((
            StatusCode::PARTIAL_CONTENT,
            format!("bytes {start}-{}/{size}", end - 1),
        )),
        Answer::Unsatisfiable => {
            Some((StatusCode::RANGE_NOT_SATISFIABLE, format!("bytes */{size}")))
        }
        Answer::Full | Answer::NotModified | Answer::PreconditionFailed => None,
    }
}

/// A digest never means anything else; a tag moves and must be asked for again.
fn cache_control(reference: &Reference) -> HeaderValue {
    HeaderValue::from_static(match reference {
        Reference::Digest(_) => "public, max-age=31536000, immutable",
        Reference::Tag(_) | Reference::TagAtCommit(..) => "no-cache",
    })
}

fn describe(headers: &mut HeaderMap, image: &ImageRow, file_name: &str) -> Result<(), Error> {
    let hex = image.digest()?.hex();
    let sha256 = hex::decode(&hex).map_err(internal)?;
    let digest = base64::engine::general_purpose::STANDARD.encode(sha256);
    let disposition = format!("attachment; filename=\"{file_name}\"");
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::CONTENT_DISPOSITION, value(&disposition)?);
    headers.insert("repr-digest", value(&format!("sha-256=:{digest}:"))?);
    headers.insert("x-checksum-sha256", value(&hex)?);
    Ok(())
}

fn value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(internal)
}

fn internal(error: impl Into<anyhow::Error>) -> Error {
    Error::Internal(error.into())
}

/// The bytes `start..end` of an image.
fn part(store: &Store, layout: &Layout, start: u64, end: u64) -> Result<Response, Error> {
    let image = store.open_image(layout, start..end).map_err(internal)?;
    let mut response = Body::from_stream(image.stream()).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_tag_a_commit_or_a_digest() {
        let digest = Digest::of(b"x");
        let tag: Tag = "v1.0".parse().unwrap();

        let by_tag = (Reference::Tag(tag.clone()), Form::Image);
        assert_eq!(parse_file("v1.0.sif").unwrap(), by_tag);
        let by_commit = Reference::TagAtCommit(tag, "0123abc".to_owned());
        assert_eq!(
            parse_file("v1.0@0123abc.sif").unwrap(),
            (by_commit, Form::Image)
        );
        let sum = (Reference::Digest(digest), Form::Checksum);
        assert_eq!(parse_file(&format!("{digest}.sif.sha256")).unwrap(), sum);
        let layout = (Reference::Tag("v1.0".parse().unwrap()), Form::Layout);
        assert_eq!(parse_file("v1.0.sif.layout").unwrap(), layout);
        for wrong in ["v1.0", ".sif", "a b.sif", "v1@main.sif", "sha256:00.sif"] {
            assert!(parse_file(wrong).is_err(), "{wrong}");
        }
    }
}
