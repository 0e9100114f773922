//! The calls about collections and workers.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use cooperage_protocol::DeliveryId;
use cooperage_protocol::admin::{
    AddedCollection, AddedWorker, CheckStore, CheckedStore, Clean, Cleaned, Collection,
    CollectionChange, NewCollection, NewWorker, Problem, StoreUsage, Worker,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{Body, InCollection};
use super::paging::{Listed, Paging};
use crate::db::views;
use crate::error::Error;
use crate::rights::Visit;
use crate::state::Hub;

/// The routes of collections and workers.
pub(super) fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(list_collections, add_collection))
        .routes(routes!(
            show_collection,
            change_collection,
            remove_collection
        ))
        .routes(routes!(renew_secret))
        .routes(routes!(list_workers, add_worker))
        .routes(routes!(replay_delivery))
        .routes(routes!(show_store))
        .routes(routes!(clean_store))
        .routes(routes!(check_store))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CollectionsQuery {
    /// Only collections whose names contain this.
    #[serde(default)]
    #[param(required = false)]
    search: String,
}

/// Lists collections, those with the newest images first.
#[utoipa::path(
    get,
    path = "/api/collections",
    tag = "collections",
    params(CollectionsQuery, Paging),
    responses(Listed<Collection>),
)]
async fn list_collections(
    visit: Visit,
    State(hub): State<Hub>,
    Query(query): Query<CollectionsQuery>,
    paging: Paging,
) -> Result<Listed<Collection>, Error> {
    let search = query.search.trim();
    let rows = views::collections(&hub.db, search, visit.caller.sight(), paging.window()).await?;
    Ok(paging.list(rows.into_iter().filter_map(Option::from).collect()))
}

/// Connects a git repository.
///
/// The answer has what to enter at the forge; its secret is shown once.
#[utoipa::path(
    post,
    path = "/api/collections",
    tag = "collections",
    request_body = NewCollection,
    responses((status = 201, body = AddedCollection), (status = 409, body = Problem, description = "the name is taken"), (status = 422, body = Problem, description = "the name or the clone URL cannot be used")),
)]
async fn add_collection(
    State(hub): State<Hub>,
    Body(new): Body<NewCollection>,
) -> Result<(StatusCode, Json<AddedCollection>), Error> {
    let added = crate::add_collection(&hub, &new).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

/// Shows a collection.
#[utoipa::path(
    get,
    path = "/api/collections/{owner}/{repository}",
    tag = "collections",
    params(InCollection),
    responses((status = 200, body = Collection)),
)]
async fn show_collection(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
) -> Result<Json<Collection>, Error> {
    let name = of.name()?;
    let found = views::collection(&hub.db, &name).await?;
    let found = found.and_then(Option::from);
    found
        .map(Json)
        .ok_or_else(|| Error::NotFound(format!("there is no collection {name}")))
}

/// Changes settings of a collection; what is absent stays as it is.
#[utoipa::path(
    patch,
    path = "/api/collections/{owner}/{repository}",
    tag = "collections",
    params(InCollection),
    request_body = CollectionChange,
    responses((status = 200, body = Collection)),
)]
async fn change_collection(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
    Body(change): Body<CollectionChange>,
) -> Result<Json<Collection>, Error> {
    crate::change_collection(&hub, &of.name()?, &change).await?;
    show_collection(State(hub), Path(of)).await
}

/// Disconnects a repository: its builds, images and tags are deleted.
#[utoipa::path(
    delete,
    path = "/api/collections/{owner}/{repository}",
    tag = "collections",
    params(InCollection),
    responses((status = 204)),
)]
async fn remove_collection(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
) -> Result<StatusCode, Error> {
    let name = of.name()?;
    crate::remove_collection(&hub, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes another secret for the webhook, which is shown once.
///
/// What is signed with the one before is refused from then on.
#[utoipa::path(
    post,
    path = "/api/collections/{owner}/{repository}/secret",
    tag = "collections",
    params(InCollection),
    responses((status = 200, body = AddedCollection)),
)]
async fn renew_secret(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
) -> Result<Json<AddedCollection>, Error> {
    Ok(Json(crate::collections::renew(&hub, &of.name()?).await?))
}

/// Lists the workers, those that called last first.
#[utoipa::path(
    get,
    path = "/api/workers",
    tag = "workers",
    responses((status = 200, body = Vec<Worker>)),
)]
async fn list_workers(visit: Visit, State(hub): State<Hub>) -> Result<Json<Vec<Worker>>, Error> {
    Ok(Json(views::workers(&hub.db, visit.caller.sight()).await?))
}

/// Registers a worker; its token is shown once.
#[utoipa::path(
    post,
    path = "/api/workers",
    tag = "workers",
    request_body = NewWorker,
    responses((status = 201, body = AddedWorker), (status = 409, body = Problem, description = "the name is taken"), (status = 422, body = Problem, description = "the name cannot be used")),
)]
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

/// Processes a delivery again that has ended.
#[utoipa::path(
    post,
    path = "/api/deliveries/{id}/replay",
    tag = "deliveries",
    params(("id" = DeliveryId, Path, description = "The delivery.")),
    responses((status = 202), (status = 409, body = Problem, description = "the delivery has not ended, or was not signed")),
)]
async fn replay_delivery(
    State(hub): State<Hub>,
    Path(id): Path<DeliveryId>,
) -> Result<StatusCode, Error> {
    crate::replay_delivery(&hub, id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Tells what the images take on the hub's disk.
#[utoipa::path(
    get,
    path = "/api/store",
    tag = "store",
    responses((status = 200, body = StoreUsage)),
)]
async fn show_store(State(hub): State<Hub>) -> Result<Json<StoreUsage>, Error> {
    Ok(Json(crate::store_usage(&hub).await?))
}

/// Removes objects that nothing needs.
#[utoipa::path(
    post,
    path = "/api/store/clean",
    tag = "store",
    request_body = Clean,
    responses((status = 200, body = Cleaned)),
)]
async fn clean_store(
    State(hub): State<Hub>,
    Body(clean): Body<Clean>,
) -> Result<Json<Cleaned>, Error> {
    Ok(Json(crate::clean_store(&hub, &clean).await?))
}

/// Reads objects again and names those that are damaged, with the images that need them.
///
/// It reads for a while and says where to go on. A damaged object is not served any more.
#[utoipa::path(
    post,
    path = "/api/store/check",
    tag = "store",
    request_body = CheckStore,
    responses((status = 200, body = CheckedStore)),
)]
async fn check_store(
    State(hub): State<Hub>,
    Body(from): Body<CheckStore>,
) -> Result<Json<CheckedStore>, Error> {
    Ok(Json(crate::check_store(&hub, &from).await?))
}
