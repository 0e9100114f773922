//! The calls about the keys that the hub signs with and hands out.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use cooperage_protocol::admin::{Key, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::Error;
use crate::state::Hub;

/// The routes of keys.
pub(super) fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(list_keys))
        .routes(routes!(rotate_key))
        .routes(routes!(remove_key))
}

/// Lists the keys of the hub, and those that people added.
#[utoipa::path(
    get,
    path = "/api/keys",
    tag = "keys",
    responses((status = 200, body = Vec<Key>)),
)]
async fn list_keys(State(hub): State<Hub>) -> Result<Json<Vec<Key>>, Error> {
    Ok(Json(crate::all_keys(&hub).await?))
}

/// Makes another key, and signs what is built with it from now on.
///
/// The secret half of the one before is forgotten; its public half stays.
#[utoipa::path(
    post,
    path = "/api/keys/rotate",
    tag = "keys",
    responses((status = 201, body = Key), (status = 409, body = Problem, description = "somebody else made another one just now")),
)]
async fn rotate_key(State(hub): State<Hub>) -> Result<(StatusCode, Json<Key>), Error> {
    let fingerprint = crate::rotate_key(&hub).await?;
    let keys = crate::all_keys(&hub).await?;
    let made = keys.into_iter().find(|key| key.fingerprint == fingerprint);
    let made = made.ok_or_else(|| Error::Conflict("another key was made just now".to_owned()))?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Removes a key that somebody added.
#[utoipa::path(
    delete,
    path = "/api/keys/{fingerprint}",
    tag = "keys",
    params(("fingerprint" = String, Path, description = "Its fingerprint, in 40 digits.")),
    responses((status = 204), (status = 404, body = Problem, description = "nobody added such a key")),
)]
async fn remove_key(
    State(hub): State<Hub>,
    Path(fingerprint): Path<String>,
) -> Result<StatusCode, Error> {
    crate::remove_key(&hub, &fingerprint).await?;
    Ok(StatusCode::NO_CONTENT)
}
