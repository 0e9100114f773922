//! Pushes by `library://`, and what clients ask before and after them.
//! <https://github.com/apptainer/container-library-client>

use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use cooperage_protocol::{CollectionId, Digest, ImageId, PushId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::library::{LibraryError, description};
use crate::db::pushes::Push;
use crate::db::views::{self, ImageFilter};
use crate::db::{rights as collections, tags};
use crate::error::Error;
use crate::library::{self, Address, PART};
use crate::rights::{Action, Collection, Visit, may};
use crate::state::Hub;

/// The routes of pushes.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/v1/entities", post(refuse_more))
        .route("/v1/entities/{owner}", get(entity))
        .route("/v1/collections", post(refuse_more))
        .route("/v1/collections/{owner}/{repository}", get(container))
        .route("/v1/containers", post(refuse_more))
        .route("/v1/containers/{owner}/{repository}/{name}", get(container))
        .route("/v1/images", post(expect))
        .route("/v1/imagefile/{*container}", post(receive_whole))
        .route("/v2/imagefile/{id}", post(give_address))
        .route("/v2/imagefile/{id}/bytes", put(receive))
        .route("/v2/imagefile/{id}/_complete", put(complete))
        .route(
            "/v2/imagefile/{id}/_multipart",
            post(begin_parts).put(give_part_address),
        )
        .route("/v2/imagefile/{id}/_multipart_complete", put(complete))
        .route("/v2/imagefile/{id}/_multipart_abort", put(abort))
        .route("/v2/tags/{id}", get(list_tags).post(set_tag))
        .route("/v1/tags/{id}", get(list_tags_of_any).post(set_tag))
}

/// A JSON body, whatever its content type says: clients send none.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Hub> for Body<T> {
    type Rejection = LibraryError;

    async fn from_request(request: Request, hub: &Hub) -> Result<Self, LibraryError> {
        let bytes = Bytes::from_request(request, hub)
            .await
            .map_err(|_| Error::TooLarge("the body is not whole, or too large".to_owned()))?;
        let body = serde_json::from_slice(&bytes)
            .map_err(|error| Error::BadRequest(format!("the body cannot be read: {error}")))?;
        Ok(Self(body))
    }
}

pub(super) fn data(data: Value) -> Json<Value> {
    Json(Map::from_iter([("data".to_owned(), data)]).into())
}

async fn entity(
    State(hub): State<Hub>,
    visit: Visit,
    Path(owner): Path<String>,
) -> Result<Json<Value>, LibraryError> {
    let prefix = format!("{}/", owner.to_lowercase());
    let seen = views::collections(&hub.db, &prefix, visit.caller.sight(), views::Window::ALL).await;
    let seen = seen.map_err(Error::from)?;
    let is_there = seen
        .iter()
        .any(|collection| collection.name.to_lowercase().starts_with(&prefix));
    if !is_there {
        let message = format!("there is no collection of {owner} that you may see");
        return Err(Error::NotFound(message).into());
    }
    Ok(data(json!({ "id": owner.to_lowercase(), "name": owner })))
}

/// A collection of the hub is both: the collection `owner/repo`, and its only container
/// `owner/repo/repo`.
async fn container(
    visit: Visit,
    Path(path): Path<Vec<(String, String)>>,
) -> Result<Json<Value>, LibraryError> {
    let collection = found(&visit)?;
    let repository = repository(collection);
    let other = path
        .iter()
        .find(|(key, name)| key == "name" && !name.eq_ignore_ascii_case(repository));
    if let Some((_, name)) = other {
        let message = format!(
            "there is no container {name:?}: the images of {} are library://…/{}/{repository}",
            collection.name, collection.name
        );
        return Err(Error::NotFound(message).into());
    }
    Ok(data(json!({ "id": collection.id, "name": repository })))
}

fn repository(collection: &Collection) -> &str {
    collection.name.rsplit('/').next().unwrap_or_default()
}

fn found(visit: &Visit) -> Result<&Collection, Error> {
    let collection = visit.collection.as_ref();
    collection.ok_or_else(|| Error::Internal(anyhow::anyhow!("a route without a guard")))
}

/// Collections are connected to repositories, not made by a push.
async fn refuse_more() -> LibraryError {
    let why = "an administrator connects collections: cooperage collection add; the images of \
               owner/repo are pushed to library://owner/repo/repo";
    Error::Forbidden(why).into()
}

#[derive(Deserialize)]
struct Expected {
    hash: String,
    container: String,
}

/// The container's id is in the body, so no rule of the table can look it up.
async fn expect(
    State(hub): State<Hub>,
    visit: Visit,
    Body(expected): Body<Expected>,
) -> Result<Json<Value>, LibraryError> {
    let person = visit.person()?;
    let missing = || Error::NotFound(format!("there is no container {:?}", expected.container));
    let id: CollectionId = expected.container.parse().map_err(|_| missing())?;
    let collection = collections::of_id(&hub.db, id, Some(person.id)).await;
    let collection = collection.map_err(Error::from)?;
    let collection = collection.filter(|it| may(&visit.caller, Action::Read, it));
    let collection = collection.ok_or_else(missing)?;
    check_push(&visit, &collection)?;
    let digest = parse_hash(&expected.hash)?;
    if let Some(known) = image_of(&hub, &collection, digest).await? {
        return Ok(data(known));
    }
    let push = Push {
        collection: collection.id,
        user: person.id,
    };
    let id = library::expect(&hub, push, digest).await?;
    Ok(data(
        json!({ "id": id, "hash": expected.hash, "uploaded": false }),
    ))
}

fn check_push(visit: &Visit, collection: &Collection) -> Result<(), Error> {
    if may(&visit.caller, Action::Push, collection) {
        return Ok(());
    }
    Err(Error::Forbidden(Action::Push.refusal()))
}

async fn image_of(
    hub: &Hub,
    collection: &Collection,
    digest: Digest,
) -> Result<Option<Value>, Error> {
    let name = collection.name.parse().map_err(anyhow::Error::from)?;
    let filter = ImageFilter {
        sha256: Some(digest.hex()),
        ..ImageFilter::default()
    };
    let image = views::images(&hub.db, &name, &filter, 1).await?.pop();
    image.map(|image| description(&image)).transpose()
}

pub(super) fn parse_hash(text: &str) -> Result<Digest, Error> {
    let hex = text.trim_start_matches("sha256.");
    format!("sha256:{hex}")
        .parse()
        .map_err(|_| Error::BadRequest(format!("hash {text:?} is not sha256. and 64 hex digits")))
}

async fn give_address(
    State(hub): State<Hub>,
    Path(id): Path<PushId>,
) -> Result<Json<Value>, LibraryError> {
    let address = library::address(&hub, id, 0)?;
    Ok(data(json!({ "uploadURL": address })))
}

async fn receive(
    State(hub): State<Hub>,
    Path(id): Path<PushId>,
    Query(address): Query<Address>,
    request: Request,
) -> Result<Response, LibraryError> {
    let body = request.into_body().into_data_stream();
    library::receive(&hub, id, &address, body).await?;
    Ok((StatusCode::OK, [(header::ETAG, format!("\"{id}\""))]).into_response())
}

/// Takes all of an image at once, as the clients of Singularity 3.0 to 3.5 send it: where others
/// have a container in the path, they have the image's id.
async fn receive_whole(
    State(hub): State<Hub>,
    visit: Visit,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, LibraryError> {
    let person = visit.person()?;
    let missing = || Error::NotFound(format!("there is no image {id} that is being sent"));
    let push: PushId = id.trim_matches('/').parse().map_err(|_| missing())?;
    let collection = collections::of_push(&hub.db, push, Some(person.id)).await;
    let collection = collection.map_err(Error::from)?;
    let collection = collection.filter(|it| may(&visit.caller, Action::Read, it));
    check_push(&visit, &collection.ok_or_else(missing)?)?;
    library::receive_whole(&hub, push, request.into_body().into_data_stream()).await?;
    library::complete(&hub, push).await?;
    Ok(data(json!({})))
}

#[derive(Deserialize)]
struct Size {
    filesize: u64,
}

async fn begin_parts(
    Path(id): Path<PushId>,
    Body(size): Body<Size>,
) -> Result<Json<Value>, LibraryError> {
    Ok(data(json!({
        "uploadID": id, "totalParts": size.filesize.div_ceil(PART).max(1), "partSize": PART,
        "options": { "s3compliant": "false" },
    })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    part_number: u32,
}

async fn give_part_address(
    State(hub): State<Hub>,
    Path(id): Path<PushId>,
    Body(part): Body<Part>,
) -> Result<Json<Value>, LibraryError> {
    let Some(before) = part.part_number.checked_sub(1) else {
        return Err(Error::BadRequest("parts are numbered from 1".to_owned()).into());
    };
    let address = library::address(&hub, id, u64::from(before) * PART)?;
    Ok(data(json!({ "presignedURL": address })))
}

async fn complete(
    State(hub): State<Hub>,
    visit: Visit,
    Path(id): Path<PushId>,
) -> Result<Json<Value>, LibraryError> {
    library::complete(&hub, id).await?;
    let collection = found(&visit)?;
    let (used, most) = library::quota(&hub, collection.id).await?;
    Ok(data(json!({
        "quota": { "quotaTotal": most, "quotaUsage": used },
        "containerUrl": format!("/{}", collection.name),
    })))
}

async fn abort(
    State(hub): State<Hub>,
    Path(id): Path<PushId>,
) -> Result<Json<Value>, LibraryError> {
    library::abort(&hub, id).await?;
    Ok(data(json!({})))
}

/// What every tag means, for every architecture.
async fn list_tags(State(hub): State<Hub>, visit: Visit) -> Result<Json<Value>, LibraryError> {
    let meanings = tags::meanings(&hub.db, found(&visit)?.id).await;
    let mut by_architecture = Map::new();
    for meaning in meanings.map_err(Error::from)? {
        let of_it = by_architecture
            .entry(meaning.architecture)
            .or_insert_with(|| json!({}));
        of_it[meaning.name] = json!(meaning.image);
    }
    Ok(data(by_architecture.into()))
}

/// What every tag means, as clients ask that know of one architecture.
async fn list_tags_of_any(
    State(hub): State<Hub>,
    visit: Visit,
) -> Result<Json<Value>, LibraryError> {
    let meanings = tags::meanings(&hub.db, found(&visit)?.id).await;
    let meanings = meanings.map_err(Error::from)?;
    let tags = meanings
        .into_iter()
        .map(|meaning| (meaning.name, json!(meaning.image)));
    Ok(data(tags.collect::<Map<_, _>>().into()))
}

/// The architecture that clients tell is that of the image, which says it itself.
#[derive(Deserialize)]
struct NewTag {
    #[serde(rename = "Tag", alias = "tag")]
    tag: String,
    #[serde(rename = "ImageID", alias = "imageID")]
    image: String,
}

async fn set_tag(
    State(hub): State<Hub>,
    visit: Visit,
    Body(new): Body<NewTag>,
) -> Result<Json<Value>, LibraryError> {
    let tag = new.tag.parse();
    let tag = tag.map_err(|error| Error::BadRequest(format!("{error}")))?;
    let missing = || Error::NotFound(format!("there is no image {:?}", new.image));
    let image: ImageId = new.image.parse().map_err(|_| missing())?;
    library::tag(&hub, found(&visit)?.id, &tag, image).await?;
    Ok(data(json!({})))
}
