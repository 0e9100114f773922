//! The JSON API, and its description: a route cannot be in it without being described.

use std::sync::LazyLock;

use axum::extract::FromRequest;
use axum::{Json, Router};
use cooperage_protocol::CollectionName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{accounts, admin, builds, described, download, images, keys, registries};
use crate::error::Error;
use crate::state::Hub;

/// The routes of the API.
pub(super) fn router() -> Router<Hub> {
    described_router().split_for_parts().0
}

/// What the API is, for programs, in the form of `OpenAPI`.
pub(crate) fn description() -> &'static OpenApi {
    static DESCRIPTION: LazyLock<OpenApi> =
        LazyLock::new(|| described::complete(described_router().into_openapi()));
    &DESCRIPTION
}

fn described_router() -> OpenApiRouter<Hub> {
    OpenApiRouter::with_openapi(described::Api::openapi())
        .merge(admin::router())
        .merge(builds::router())
        .merge(images::router())
        .merge(keys::router())
        .merge(registries::router())
        .merge(accounts::router())
        .routes(routes!(openapi))
}

/// Gives this description.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "description",
    responses((status = 200, body = serde_json::Value)),
)]
async fn openapi() -> Json<&'static OpenApi> {
    Json(description())
}

/// Which collection a path is about.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct InCollection {
    /// The part of the collection's name before the slash.
    #[param(pattern = "^[A-Za-z0-9-]{1,39}$")]
    owner: String,
    /// The part of the collection's name after the slash.
    #[param(pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    repository: String,
}

impl InCollection {
    /// The collection's name.
    pub(super) fn name(&self) -> Result<CollectionName, Error> {
        download::parse_collection(&self.owner, &self.repository)
    }
}

/// A JSON body whose errors are problems like all others.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Hub> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: axum::extract::Request, hub: &Hub) -> Result<Self, Error> {
        let bytes = axum::body::Bytes::from_request(request, hub)
            .await
            .map_err(|error| Error::TooLarge(error.body_text()))?;
        parse_json(&bytes).map(Self)
    }
}

/// Reads JSON; what is wrong with it is told with its place.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::BadRequest(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rights;

    #[test]
    fn the_api_is_described_as_the_table_of_rights_has_it() {
        let mut api = description().clone();
        let mut described = BTreeSet::new();
        for (path, item) in &mut api.paths.paths {
            for (method, operation) in described::operations(item) {
                let call = format!("{method} {path}");
                let about = operation.description.as_deref().unwrap_or_default();
                assert!(about.contains("Who may: "), "{call}: {about}");
                assert!(operation.summary.is_some(), "{call} has no summary");
                described.insert(call);
            }
        }

        let in_table = rights::calls().map(|(method, path)| format!("{method} {path}"));
        assert_eq!(described, in_table.collect());
    }
}
