//! The calls about accounts for registries, and whether they are good.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use cooperage_protocol::admin::{Credential, NewCheck, NewCredential, Problem};
use cooperage_protocol::{CheckId, RegistryCheck};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{Body, InCollection};
use crate::error::Error;
use crate::state::Hub;
use crate::{checks, collections};

/// The routes of accounts for registries.
pub(super) fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(list_credentials, put_credential))
        .routes(routes!(remove_credential))
        .routes(routes!(list_checks, ask_check))
        .routes(routes!(show_check))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct AtRegistry {
    /// The registry's host, with its port if it has one.
    #[param(pattern = r"^[A-Za-z0-9.:\[\]-]{1,255}$")]
    registry: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfCheck {
    /// The check.
    id: CheckId,
}

/// Lists the accounts of a collection for registries, without their passwords.
#[utoipa::path(
    get,
    path = "/api/collections/{owner}/{repository}/credentials",
    tag = "registries",
    params(InCollection),
    responses((status = 200, body = Vec<Credential>)),
)]
async fn list_credentials(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
) -> Result<Json<Vec<Credential>>, Error> {
    let name = of.name()?;
    Ok(Json(crate::credentials(&hub, &name).await?))
}

/// Sets the account for a registry, in place of the one before.
#[utoipa::path(
    post,
    path = "/api/collections/{owner}/{repository}/credentials",
    tag = "registries",
    params(InCollection),
    request_body = NewCredential,
    responses((status = 204), (status = 422, body = Problem, description = "the account cannot be used")),
)]
async fn put_credential(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
    Body(new): Body<NewCredential>,
) -> Result<StatusCode, Error> {
    let name = of.name()?;
    crate::put_credential(&hub, &name, &new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the account for a registry.
#[utoipa::path(
    delete,
    path = "/api/collections/{owner}/{repository}/credentials/{registry}",
    tag = "registries",
    params(InCollection, AtRegistry),
    responses((status = 204), (status = 422, body = Problem, description = "this is not the host of a registry")),
)]
async fn remove_credential(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
    Path(AtRegistry { registry }): Path<AtRegistry>,
) -> Result<StatusCode, Error> {
    let name = of.name()?;
    crate::remove_credential(&hub, &name, &registry).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the newest checks of a collection.
#[utoipa::path(
    get,
    path = "/api/collections/{owner}/{repository}/checks",
    tag = "registries",
    params(InCollection),
    responses((status = 200, body = Vec<RegistryCheck>)),
)]
async fn list_checks(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
) -> Result<Json<Vec<RegistryCheck>>, Error> {
    let collection = collections::find(&hub, &of.name()?).await?;
    Ok(Json(checks::list(&hub, collection.id).await?))
}

/// Asks whether an image can be had with the collection's accounts.
#[utoipa::path(
    post,
    path = "/api/collections/{owner}/{repository}/checks",
    tag = "registries",
    params(InCollection),
    request_body = NewCheck,
    responses((status = 202, body = RegistryCheck), (status = 422, body = Problem, description = "this is no reference of an image")),
)]
async fn ask_check(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
    Body(new): Body<NewCheck>,
) -> Result<(StatusCode, Json<RegistryCheck>), Error> {
    let name = of.name()?;
    let check = crate::ask_check(&hub, &name, &new.uri).await?;
    Ok((StatusCode::ACCEPTED, Json(check)))
}

/// Shows a check, as far as it is.
#[utoipa::path(
    get,
    path = "/api/collections/{owner}/{repository}/checks/{id}",
    tag = "registries",
    params(InCollection, OfCheck),
    responses((status = 200, body = RegistryCheck)),
)]
async fn show_check(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
    Path(OfCheck { id }): Path<OfCheck>,
) -> Result<Json<RegistryCheck>, Error> {
    let name = of.name()?;
    Ok(Json(crate::find_check(&hub, &name, id).await?))
}
