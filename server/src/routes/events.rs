//! A build as it happens: its log and its states, live for pages and the command line.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cooperage_protocol::BuildId;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;

use crate::db::views::BuildRow;
use crate::db::{logs, views};
use crate::error::Error;
use crate::follow::{Told, follow};
use crate::state::Hub;

/// The routes of a build's log.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/builds/{id}/events", get(events))
        .route("/builds/{id}/log", get(log))
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    offset: u64,
}

async fn events(
    State(hub): State<Hub>,
    Path(id): Path<BuildId>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    find_build(&hub, id).await?;
    let offset = last_event_id(&headers).unwrap_or(from.offset);
    let events = follow(&hub, id, offset).await.map(event);
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    let sse = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(keep_alive);
    // Proxies that buffer would turn a live log into a late one.
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}

fn event(told: Told) -> Event {
    let event = Event::default();
    let written = match told {
        Told::Log(text, offset) => {
            let event = event.event("log").id(offset.to_string());
            event.json_data(text)
        }
        Told::State(build) => event.event("state").json_data(build),
    };
    written.unwrap_or_else(|error| {
        tracing::error!(%error, "an event cannot be written");
        Event::default().comment("lost")
    })
}

/// A browser that reconnects tells where it broke off.
fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

async fn log(
    State(hub): State<Hub>,
    Path(id): Path<BuildId>,
    Query(from): Query<From>,
) -> Result<Response, Error> {
    plain_log(&hub, id, from.offset).await
}

/// The log as it was written, from `offset` on, read piece by piece.
pub(super) async fn plain_log(hub: &Hub, id: BuildId, offset: u64) -> Result<Response, Error> {
    find_build(hub, id).await?;
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let pieces = stream::try_unfold((hub.db.clone(), offset), move |(db, offset)| async move {
        let pieces = logs::read(&db, id, offset).await?;
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
        let next = offset.saturating_add(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        Ok::<_, sqlx::Error>((!bytes.is_empty()).then_some((bytes, (db, next))))
    });
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((headers, Body::from_stream(pieces.into_stream())).into_response())
}

/// The build, or a 404.
pub(crate) async fn find_build(hub: &Hub, id: BuildId) -> Result<BuildRow, Error> {
    let build = views::build(&hub.db, id).await?;
    build.ok_or_else(|| Error::NotFound(format!("there is no build {id}")))
}
