//! The calls about builds.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use cooperage_protocol::admin::{Build, BuildOnDemand, Problem};
use cooperage_protocol::published::Phase;
use cooperage_protocol::{BuildId, BuildState, CollectionName};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{InCollection, parse_json};
use super::events;
use super::paging::{Listed, Paging};
use crate::db::views::{self, Builds};
use crate::error::Error;
use crate::pages;
use crate::rights::Visit;
use crate::state::Hub;

/// The routes of builds.
pub(super) fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(build))
        .routes(routes!(list_builds))
        .routes(routes!(show_build))
        .routes(routes!(cancel_build))
        .routes(routes!(build_again))
        .routes(routes!(show_log))
        .routes(routes!(show_recipe))
        .routes(routes!(list_phases))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfBuild {
    /// The build.
    id: BuildId,
}

/// Builds the recipes of a branch, a tag or a commit without a push.
///
/// Those that changed since their last build or whose last build has no image; all of them when
/// there is none such.
#[utoipa::path(
    post,
    path = "/api/collections/{owner}/{repository}/builds",
    tag = "builds",
    params(InCollection),
    request_body = Option<BuildOnDemand>,
    responses((status = 202, body = Vec<Build>), (status = 422, body = Problem, description = "there is nothing to build at this reference"), (status = 503, body = Problem, description = "the forge does not answer")),
)]
async fn build(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
    body: Bytes,
) -> Result<(StatusCode, Json<Vec<Build>>), Error> {
    let name = of.name()?;
    let wish: BuildOnDemand = if body.is_empty() {
        BuildOnDemand::default()
    } else {
        parse_json(&body)?
    };
    let mut builds = Vec::new();
    for id in crate::build_on_demand(&hub, &name, &wish).await? {
        builds.push(find_build(&hub, id).await?);
    }
    Ok((StatusCode::ACCEPTED, Json(builds)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct BuildsQuery {
    /// Only builds of this collection.
    collection: Option<CollectionName>,
    /// Only builds in this state.
    state: Option<BuildState>,
}

/// Lists builds, newest first.
#[utoipa::path(
    get,
    path = "/api/builds",
    tag = "builds",
    params(BuildsQuery, Paging),
    responses(Listed<Build>),
)]
async fn list_builds(
    visit: Visit,
    State(hub): State<Hub>,
    Query(query): Query<BuildsQuery>,
    paging: Paging,
) -> Result<Listed<Build>, Error> {
    let which = match (&query.collection, query.state) {
        (Some(name), Some(state)) => Builds::OfIn(name, state),
        (Some(name), None) => Builds::Of(name),
        (None, Some(state)) => Builds::In(state),
        (None, None) => Builds::All,
    };
    let rows = views::builds(&hub.db, which, visit.caller.sight(), paging.window()).await?;
    let builds = rows.into_iter().map(Build::try_from);
    Ok(paging.list(builds.collect::<Result<_, _>>()?))
}

/// Shows a build.
#[utoipa::path(
    get,
    path = "/api/builds/{id}",
    tag = "builds",
    params(OfBuild),
    responses((status = 200, body = Build)),
)]
async fn show_build(
    State(hub): State<Hub>,
    Path(OfBuild { id }): Path<OfBuild>,
) -> Result<Json<Build>, Error> {
    Ok(Json(find_build(&hub, id).await?))
}

/// Cancels a build: at once if it waits, at its worker's next sign of life if it runs.
#[utoipa::path(
    post,
    path = "/api/builds/{id}/cancel",
    tag = "builds",
    params(OfBuild),
    responses((status = 202, body = Build), (status = 409, body = Problem, description = "the build has ended already")),
)]
async fn cancel_build(
    State(hub): State<Hub>,
    Path(OfBuild { id }): Path<OfBuild>,
) -> Result<(StatusCode, Json<Build>), Error> {
    crate::cancel_build(&hub, id).await?;
    Ok((StatusCode::ACCEPTED, Json(find_build(&hub, id).await?)))
}

/// Builds the same recipe at the same commit once more.
#[utoipa::path(
    post,
    path = "/api/builds/{id}/rebuild",
    tag = "builds",
    params(OfBuild),
    responses((status = 202, body = Build), (status = 409, body = Problem, description = "the build has not ended yet")),
)]
async fn build_again(
    State(hub): State<Hub>,
    Path(OfBuild { id }): Path<OfBuild>,
) -> Result<(StatusCode, Json<Build>), Error> {
    let again = crate::on_demand::build_again(&hub, id).await?;
    Ok((StatusCode::ACCEPTED, Json(find_build(&hub, again).await?)))
}

async fn find_build(hub: &Hub, id: BuildId) -> Result<Build, Error> {
    Ok(events::find_build(hub, id).await?.try_into()?)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// How many bytes to leave out at the beginning.
    #[serde(default)]
    #[param(required = false)]
    offset: u64,
}

/// Gives the log of a build, as it was written.
#[utoipa::path(
    get,
    path = "/api/builds/{id}/log",
    tag = "builds",
    params(OfBuild, LogQuery),
    responses((status = 200, body = String, content_type = "text/plain")),
)]
async fn show_log(
    State(hub): State<Hub>,
    Path(OfBuild { id }): Path<OfBuild>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Error> {
    events::plain_log(&hub, id, query.offset).await
}

/// Gives the definition that is built, secrets redacted.
#[utoipa::path(
    get,
    path = "/api/builds/{id}/recipe",
    tag = "builds",
    params(OfBuild),
    responses((status = 200, body = String, content_type = "text/plain")),
)]
async fn show_recipe(
    State(hub): State<Hub>,
    Path(OfBuild { id }): Path<OfBuild>,
) -> Result<Response, Error> {
    let build = events::find_build(&hub, id).await?;
    let mut text = pages::recipe_text(&hub, &build).await?.join("\n");
    text.push('\n');
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((headers, text).into_response())
}

/// Lists the phases of a build in the order in which they began.
#[utoipa::path(
    get,
    path = "/api/builds/{id}/phases",
    tag = "builds",
    params(OfBuild),
    responses((status = 200, body = Vec<Phase>)),
)]
async fn list_phases(
    State(hub): State<Hub>,
    Path(OfBuild { id }): Path<OfBuild>,
) -> Result<Json<Vec<Phase>>, Error> {
    let rows = views::phases(&hub.db, id).await?.into_iter();
    let phases = rows.map(|row| Phase {
        attempt: row.attempt,
        name: row.name,
        started_at: row.started_at,
        ended_at: row.ended_at,
    });
    Ok(Json(phases.collect()))
}
