//! The calls of the command line; `cooperage_protocol::admin` lists them.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use cooperage_protocol::admin::{
    AddedCollection, AddedWorker, Build, BuildOnDemand, Clean, Cleaned, Collection,
    CollectionChange, Credential, NewCheck, NewCollection, NewCredential, NewWorker, StoreUsage,
    Worker,
};
use cooperage_protocol::{BuildId, CheckId, CollectionName, DeliveryId, RegistryCheck};
use serde::Deserialize;

use super::{download, events};
use crate::db::views::{self, Builds};
use crate::error::Error;
use crate::rights::Visit;
use crate::state::Hub;

const MOST_BUILDS: i64 = 1000;

/// The routes of the command line.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route(
            "/api/collections",
            get(list_collections).post(add_collection),
        )
        .route(
            "/api/collections/{owner}/{repository}",
            delete(remove_collection).patch(change_collection),
        )
        .route(
            "/api/collections/{owner}/{repository}/credentials",
            get(list_credentials).post(put_credential),
        )
        .route(
            "/api/collections/{owner}/{repository}/credentials/{registry}",
            delete(remove_credential),
        )
        .route(
            "/api/collections/{owner}/{repository}/checks",
            post(ask_check),
        )
        .route(
            "/api/collections/{owner}/{repository}/checks/{id}",
            get(show_check),
        )
        .route("/api/collections/{owner}/{repository}/builds", post(build))
        .route("/api/builds", get(list_builds))
        .route("/api/builds/{id}", get(show_build))
        .route("/api/builds/{id}/cancel", post(cancel_build))
        .route("/api/builds/{id}/log", get(show_log))
        .route("/api/workers", get(list_workers).post(add_worker))
        .route("/api/deliveries/{id}/replay", post(replay_delivery))
        .route("/api/store", get(show_store))
        .route("/api/store/clean", post(clean_store))
}

async fn list_collections(
    visit: Visit,
    State(hub): State<Hub>,
) -> Result<Json<Vec<Collection>>, Error> {
    let rows = views::collections(&hub.db, "", visit.caller.sight()).await?;
    Ok(Json(rows.into_iter().filter_map(Option::from).collect()))
}

async fn add_collection(
    State(hub): State<Hub>,
    Body(new): Body<NewCollection>,
) -> Result<(StatusCode, Json<AddedCollection>), Error> {
    let added = crate::add_collection(&hub, &new).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

async fn change_collection(
    State(hub): State<Hub>,
    Path((owner, repository)): Path<(String, String)>,
    Body(change): Body<CollectionChange>,
) -> Result<Json<Collection>, Error> {
    let name = download::parse_collection(&owner, &repository)?;
    crate::change_collection(&hub, &name, &change).await?;
    let row = views::collection(&hub.db, &name).await?;
    let changed = row.and_then(Option::from);
    changed
        .map(Json)
        .ok_or_else(|| Error::NotFound(format!("there is no collection {name}")))
}

async fn remove_collection(
    State(hub): State<Hub>,
    Path((owner, repository)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    let name = download::parse_collection(&owner, &repository)?;
    crate::remove_collection(&hub, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_credentials(
    State(hub): State<Hub>,
    Path((owner, repository)): Path<(String, String)>,
) -> Result<Json<Vec<Credential>>, Error> {
    let name = download::parse_collection(&owner, &repository)?;
    Ok(Json(crate::credentials(&hub, &name).await?))
}

async fn put_credential(
    State(hub): State<Hub>,
    Path((owner, repository)): Path<(String, String)>,
    Body(new): Body<NewCredential>,
) -> Result<StatusCode, Error> {
    let name = download::parse_collection(&owner, &repository)?;
    crate::put_credential(&hub, &name, &new).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_credential(
    State(hub): State<Hub>,
    Path((owner, repository, registry)): Path<(String, String, String)>,
) -> Result<StatusCode, Error> {
    let name = download::parse_collection(&owner, &repository)?;
    crate::remove_credential(&hub, &name, &registry).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ask_check(
    State(hub): State<Hub>,
    Path((owner, repository)): Path<(String, String)>,
    Body(new): Body<NewCheck>,
) -> Result<(StatusCode, Json<RegistryCheck>), Error> {
    let name = download::parse_collection(&owner, &repository)?;
    let check = crate::ask_check(&hub, &name, &new.uri).await?;
    Ok((StatusCode::ACCEPTED, Json(check)))
}

async fn show_check(
    State(hub): State<Hub>,
    Path((owner, repository, id)): Path<(String, String, CheckId)>,
) -> Result<Json<RegistryCheck>, Error> {
    let name = download::parse_collection(&owner, &repository)?;
    Ok(Json(crate::find_check(&hub, &name, id).await?))
}

async fn build(
    State(hub): State<Hub>,
    Path((owner, repository)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Vec<Build>>), Error> {
    let name = download::parse_collection(&owner, &repository)?;
    let wish: BuildOnDemand = if body.is_empty() {
        BuildOnDemand::default()
    } else {
        parse_json(&body)?
    };
    let mut builds = Vec::new();
    for id in crate::build_on_demand(&hub, &name, wish.reference.as_deref()).await? {
        builds.push(find_build(&hub, id).await?);
    }
    Ok((StatusCode::ACCEPTED, Json(builds)))
}

#[derive(Deserialize)]
struct BuildsQuery {
    collection: Option<CollectionName>,
    limit: Option<i64>,
}

async fn list_builds(
    visit: Visit,
    State(hub): State<Hub>,
    Query(query): Query<BuildsQuery>,
) -> Result<Json<Vec<Build>>, Error> {
    let which = query.collection.as_ref().map_or(Builds::All, Builds::Of);
    let limit = query.limit.unwrap_or(50).clamp(1, MOST_BUILDS);
    let rows = views::builds(&hub.db, which, visit.caller.sight(), limit).await?;
    let builds = rows
        .into_iter()
        .map(Build::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Json(builds))
}

async fn show_build(State(hub): State<Hub>, Path(id): Path<BuildId>) -> Result<Json<Build>, Error> {
    Ok(Json(find_build(&hub, id).await?))
}

async fn cancel_build(
    State(hub): State<Hub>,
    Path(id): Path<BuildId>,
) -> Result<(StatusCode, Json<Build>), Error> {
    crate::cancel_build(&hub, id).await?;
    Ok((StatusCode::ACCEPTED, Json(find_build(&hub, id).await?)))
}

async fn find_build(hub: &Hub, id: BuildId) -> Result<Build, Error> {
    Ok(events::find_build(hub, id).await?.try_into()?)
}

#[derive(Deserialize)]
struct LogQuery {
    #[serde(default)]
    offset: u64,
}

async fn show_log(
    State(hub): State<Hub>,
    Path(id): Path<BuildId>,
    Query(query): Query<LogQuery>,
) -> Result<axum::response::Response, Error> {
    events::plain_log(&hub, id, query.offset).await
}

async fn list_workers(visit: Visit, State(hub): State<Hub>) -> Result<Json<Vec<Worker>>, Error> {
    Ok(Json(views::workers(&hub.db, visit.caller.sight()).await?))
}

async fn add_worker(
    State(hub): State<Hub>,
    Body(new): Body<NewWorker>,
) -> Result<(StatusCode, Json<AddedWorker>), Error> {
    let token = crate::add_worker(&hub, &new.name).await?;
    Ok((
        StatusCode::CREATED,
        Json(AddedWorker {
            name: new.name,
            token,
        }),
    ))
}

async fn replay_delivery(
    State(hub): State<Hub>,
    Path(id): Path<DeliveryId>,
) -> Result<StatusCode, Error> {
    crate::replay_delivery(&hub, id).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn show_store(State(hub): State<Hub>) -> Result<Json<StoreUsage>, Error> {
    Ok(Json(crate::store_usage(&hub).await?))
}

async fn clean_store(
    State(hub): State<Hub>,
    Body(clean): Body<Clean>,
) -> Result<Json<Cleaned>, Error> {
    Ok(Json(crate::clean_store(&hub, &clean).await?))
}

/// A JSON body whose errors are problems like all others.
pub(super) struct Body<T>(pub(super) T);

impl<T: serde::de::DeserializeOwned> axum::extract::FromRequest<Hub> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: axum::extract::Request, hub: &Hub) -> Result<Self, Error> {
        let bytes = axum::body::Bytes::from_request(request, hub)
            .await
            .map_err(|error| Error::TooLarge(error.body_text()))?;
        parse_json(&bytes).map(Self)
    }
}

fn parse_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::BadRequest(error.to_string()))
}
