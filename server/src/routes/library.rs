//! Pulls by `library://`, as the clients of the container library ask:
//! <https://github.com/apptainer/container-library-client>.
//!
//! A collection `owner/repo` is the container `owner/repo/repo`. Pushes: [`super::library_push`].

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cooperage_protocol::{CollectionName, Digest};
use serde::Deserialize;
use serde_json::json;

use super::download::{self, Reference};
use crate::db::images;
use crate::db::views::{self, ImageFilter, ImageRow};
use crate::error::Error;
use crate::pages;
use crate::rights::Visit;
use crate::state::Hub;

/// The routes of `library://`.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/assets/config/config.prod.json", get(discover))
        .route("/version", get(version))
        .route("/v1/token-status", get(async || StatusCode::OK))
        .route("/v1/rbac/users/current", get(current_user))
        .route("/v1/images/{*container}", get(describe).delete(delete))
        .route("/v1/search", get(search))
        .route("/v1/imagefile/{*container}", get(download_file))
}

/// Which addresses belong to this hub. Clients want every value to be an object.
async fn discover(State(hub): State<Hub>) -> Json<serde_json::Value> {
    let here = json!({ "uri": pages::url(&hub, "") });
    Json(json!({
        "libraryAPI": here, "tokenAPI": here, "keystoreAPI": here, "builderAPI": here,
    }))
}

/// Which version of the interface this is: a tag may mean one image for each architecture.
async fn version() -> Json<serde_json::Value> {
    Json(json!({ "data": { "version": env!("CARGO_PKG_VERSION"), "apiVersion": "2.0.0-alpha.2" } }))
}

/// Who the token speaks for. Clients want no `data` around it here.
async fn current_user(visit: Visit) -> Result<Json<serde_json::Value>, LibraryError> {
    let person = visit.person()?;
    Ok(Json(json!({
        "username": person.name, "email": "", "realname": person.name,
        "oidc_user_meta": { "secret": "" },
    })))
}

#[derive(Deserialize)]
struct Platform {
    arch: Option<String>,
}

async fn describe(
    State(hub): State<Hub>,
    Path(container): Path<String>,
    Query(platform): Query<Platform>,
) -> Result<Json<serde_json::Value>, LibraryError> {
    let (_, image) = find(&hub, &container, &platform).await?;
    Ok(Json(json!({ "data": description(&image)? })))
}

async fn download_file(
    State(hub): State<Hub>,
    Path(container): Path<String>,
    Query(platform): Query<Platform>,
    headers: HeaderMap,
) -> Result<Response, LibraryError> {
    let (reference, image) = find(&hub, &container, &platform).await?;
    Ok(download::serve(&hub, &image, &reference, &headers)?)
}

/// The collection of a container.
pub(crate) fn collection_of(container: &str) -> Result<CollectionName, Error> {
    parse(container).map(|(name, _)| name)
}

async fn find(
    hub: &Hub,
    container: &str,
    platform: &Platform,
) -> Result<(Reference, ImageRow), Error> {
    let (name, reference) = parse(container)?;
    let wanted = platform.arch.as_deref().filter(|arch| !arch.is_empty());
    let filter = ImageFilter {
        architecture: wanted.map(ToOwned::to_owned),
        ..reference.filter()
    };
    if let Some(image) = views::images(&hub.db, &name, &filter, 1).await?.pop() {
        return Ok((reference, image));
    }
    let other = download::find(hub, &name, &reference).await?;
    Err(Error::NotFound(format!(
        "{} has no such image for {}, only for {}",
        other.collection,
        wanted.unwrap_or_default(),
        other.facts.architecture
    )))
}

/// Deletes an image with all its tags, as clients expect of either name of it.
async fn delete(
    State(hub): State<Hub>,
    Path(container): Path<String>,
    Query(platform): Query<Platform>,
) -> Result<Json<serde_json::Value>, LibraryError> {
    let (_, image) = find(&hub, &container, &platform).await?;
    images::delete(&hub.db, image.id)
        .await
        .map_err(Error::from)?;
    tracing::info!("{} {} was deleted", image.collection, image.digest);
    Ok(Json(json!({ "data": description(&image)? })))
}

/// The shortest word that is searched for.
const SHORTEST: usize = 3;

/// The most collections that are searched.
const MOST_FOUND: usize = 100;

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    value: String,
    arch: Option<String>,
}

/// The tagged images of collections whose name contains a word.
async fn search(
    State(hub): State<Hub>,
    visit: Visit,
    Query(search): Query<Search>,
) -> Result<Json<serde_json::Value>, LibraryError> {
    if search.value.chars().count() < SHORTEST {
        let message = format!("search for a word of at least {SHORTEST} characters");
        return Err(Error::BadRequest(message).into());
    }
    let collections = views::collections(
        &hub.db,
        &search.value,
        visit.caller.sight(),
        views::Window::ALL,
    )
    .await;
    let collections = collections.map_err(Error::from)?;
    let wanted: Option<Vec<_>> = search
        .arch
        .as_deref()
        .filter(|arch| !arch.is_empty())
        .map(|arch| arch.split(',').collect());
    let mut found = Vec::new();
    for collection in collections.into_iter().take(MOST_FOUND) {
        let name = collection
            .name
            .parse()
            .map_err(|error| Error::Internal(anyhow::Error::new(error)))?;
        let images = views::images(&hub.db, &name, &ImageFilter::default(), MOST_IMAGES).await;
        let images = images.map_err(Error::from)?;
        let images = images.iter().filter(|image| {
            let architecture = image.facts.architecture.as_str();
            let is_wanted = wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&architecture));
            is_wanted && !image.tags.is_empty()
        });
        found.extend(images.map(description).collect::<Result<Vec<_>, _>>()?);
    }
    let nothing: [(); 0] = [];
    Ok(Json(json!({ "data": {
        "entity": nothing, "collection": nothing, "container": nothing, "image": found,
    } })))
}

/// The most images of a collection that are searched.
const MOST_IMAGES: i64 = 1000;

/// Reads `owner/repo[/repo][:tag|:sha256.DIGEST]`; old clients write a slash too many.
fn parse(container: &str) -> Result<(CollectionName, Reference), Error> {
    let (path, tag) = container.split_once(':').unwrap_or((container, "latest"));
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let name = match parts[..] {
        [owner, repository] => download::parse_collection(owner, repository)?,
        [owner, repository, container] if container.eq_ignore_ascii_case(repository) => {
            download::parse_collection(owner, repository)?
        }
        _ => return Err(no_container(path)),
    };
    let reference = match tag.strip_prefix("sha256.") {
        Some(hex) => format!("sha256:{hex}")
            .parse::<Digest>()
            .map(Reference::Digest)
            .map_err(|error| Error::NotFound(error.to_string()))?,
        None => Reference::Tag(
            tag.parse()
                .map_err(|error| Error::NotFound(format!("{error}")))?,
        ),
    };
    Ok((name, reference))
}

fn no_container(path: &str) -> Error {
    Error::NotFound(format!(
        "there is no container {path:?}: the image of the collection owner/repo is \
         library://…/owner/repo/repo"
    ))
}

/// What clients read of an image, in their own words.
pub(super) fn description(image: &ImageRow) -> Result<serde_json::Value, Error> {
    let (entity, container) = image
        .collection
        .split_once('/')
        .unwrap_or((&image.collection, ""));
    let hash = format!("sha256.{}", image.digest()?.hex());
    Ok(json!({
        "id": image.id,
        "hash": hash,
        "size": image.size(),
        "uploaded": true,
        "arch": image.facts.architecture,
        "entityName": entity,
        "collectionName": container,
        "containerName": container,
        "tags": image.tags,
        "signed": image.is_signed,
        "encrypted": false,
        "createdAt": image.created_at,
        "updatedAt": image.moved_at,
    }))
}

/// An error as clients of the library read it.
pub(super) struct LibraryError(Error);

impl From<Error> for LibraryError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for LibraryError {
    fn into_response(self) -> Response {
        let status = self.0.status();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            return self.0.into_response();
        }
        let error = json!({ "code": status.as_u16(), "message": self.0.to_string() });
        (status, Json(json!({ "error": error }))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_a_collection_with_its_repository_named_once_or_twice() {
        for container in ["lab/tool/tool:v1", "/lab/tool/Tool:v1", "lab//tool:v1"] {
            let (name, reference) = parse(container).unwrap();
            assert_eq!(name.to_string(), "lab/tool", "{container}");
            assert_eq!(reference, Reference::Tag("v1".parse().unwrap()));
        }
        let digest = Digest::of(b"x");
        let by_hash = format!("lab/tool:sha256.{}", digest.hex());
        assert_eq!(parse(&by_hash).unwrap().1, Reference::Digest(digest));
        for wrong in [
            "tool:v1",
            "lab/tool/other:v1",
            "a/b/c/d",
            "lab/tool:sha256.0",
            "lab/tool:a b",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
