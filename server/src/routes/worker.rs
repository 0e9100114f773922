//! What do workers ask of the hub? The calls of [`cooperage_protocol::worker`].

use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;
use cooperage_protocol::check::Step;
use cooperage_protocol::worker::{Claim, Lease, Missing, Offer, Outcome, PhaseStarted};
use cooperage_protocol::{BuildId, CheckId, Diagnostic, Digest, WorkerId};
use serde::Deserialize;
use tokio_stream::wrappers::ReceiverStream;

use crate::db::builds::leases::{self, Held, Holder};
use crate::db::collections;
use crate::db::{phases, workers};
use crate::error::Error;
use crate::scan::{Source, context};
use crate::state::Hub;
use crate::{build_log, checks, publish, queue, uploads};

/// The longest that a claim waits.
const LONGEST_WAIT: u64 = 60;

/// The largest chunk of a log.
const LARGEST_CHUNK: usize = 4 << 20;

/// The largest list of objects.
const LARGEST_OFFER: usize = 1 << 20;

/// The largest description of an image.
const LARGEST_OUTCOME: usize = 32 << 20;

/// The routes of workers.
pub fn router() -> Router<Hub> {
    let build = Router::new()
        .route("/heartbeat", post(heartbeat))
        .route(
            "/log/{number}",
            put(log).layer(DefaultBodyLimit::max(LARGEST_CHUNK)),
        )
        .route("/phases", post(start_phase))
        .route("/diagnostics", put(diagnose))
        .route("/context", get(send_context))
        .route(
            "/objects",
            post(offer).layer(DefaultBodyLimit::max(LARGEST_OFFER)),
        )
        .route("/objects/{digest}", put(upload))
        .route(
            "/finish",
            post(finish).layer(DefaultBodyLimit::max(LARGEST_OUTCOME)),
        )
        .route("/release", post(release));
    Router::new()
        .route("/worker/claim", post(claim))
        .route("/worker/checks/{id}/steps", put(answer_check))
        .nest("/worker/builds/{id}/{attempt}", build)
}

/// The worker that calls.
struct Caller(WorkerId);

impl FromRequestParts<Hub> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, Error> {
        let bearer: TypedHeader<Authorization<Bearer>> =
            TypedHeader::from_request_parts(parts, hub)
                .await
                .map_err(|_| Error::Unauthorized("a worker's bearer token is needed"))?;
        crate::workers::authenticate(hub, bearer.token())
            .await
            .map(Self)
    }
}

#[derive(Deserialize)]
struct AttemptPath {
    id: BuildId,
    attempt: i32,
}

/// The attempt that the worker speaks of, whether it has it still or not.
struct Attempt(Holder);

impl FromRequestParts<Hub> for Attempt {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, Error> {
        let Caller(worker) = Caller::from_request_parts(parts, hub).await?;
        let Path(path): Path<AttemptPath> = Path::from_request_parts(parts, hub)
            .await
            .map_err(|_| Error::NotFound("no such build and attempt".to_owned()))?;
        Ok(Self(Holder {
            build: path.id,
            attempt: path.attempt,
            worker,
        }))
    }
}

async fn claim(
    Caller(worker): Caller,
    State(hub): State<Hub>,
    Json(claim): Json<Claim>,
) -> Result<Response, Error> {
    workers::describe(&hub.db, worker, &claim.version, &claim.architecture).await?;
    let wait = Duration::from_secs(claim.wait_seconds.min(LONGEST_WAIT));
    match queue::claim(&hub, worker, &claim.abilities, wait).await? {
        Some(work) => Ok(Json(work).into_response()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

async fn answer_check(
    Caller(worker): Caller,
    State(hub): State<Hub>,
    Path(id): Path<CheckId>,
    Json(steps): Json<Vec<Step>>,
) -> Result<StatusCode, Error> {
    checks::answer(&hub, id, worker, &steps).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn heartbeat(Attempt(holder): Attempt, State(hub): State<Hub>) -> Result<Json<Lease>, Error> {
    queue::heartbeat(&hub, holder).await.map(Json)
}

#[derive(Deserialize)]
struct ChunkPath {
    number: i32,
}

async fn log(
    Attempt(holder): Attempt,
    State(hub): State<Hub>,
    Path(path): Path<ChunkPath>,
    bytes: Bytes,
) -> Result<StatusCode, Error> {
    held(&hub, holder).await?;
    build_log::append(&hub, holder, path.number, &bytes).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn start_phase(
    Attempt(holder): Attempt,
    State(hub): State<Hub>,
    Json(phase): Json<PhaseStarted>,
) -> Result<StatusCode, Error> {
    held(&hub, holder).await?;
    phases::start(&hub.db, holder.build, holder.attempt, &phase.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn diagnose(
    Attempt(holder): Attempt,
    State(hub): State<Hub>,
    Json(diagnostics): Json<Vec<Diagnostic>>,
) -> Result<StatusCode, Error> {
    let mut db = hub.db.acquire().await?;
    if leases::diagnose(&mut db, holder, &diagnostics).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(queue::lease_lost())
    }
}

async fn send_context(Attempt(holder): Attempt, State(hub): State<Hub>) -> Result<Response, Error> {
    let held = held(&hub, holder).await?;
    let collection = collections::by_id(&hub.db, held.collection)
        .await?
        .ok_or_else(queue::lease_lost)?;
    let source = Source::of(&hub, &collection);
    source
        .clone()
        .ensure(held.git_ref, held.commit.clone())
        .await?;
    let body = Body::from_stream(ReceiverStream::new(context::stream(source, held.commit)));
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], body).into_response())
}

#[derive(Deserialize)]
struct ObjectPath {
    digest: Digest,
}

async fn offer(
    Attempt(holder): Attempt,
    State(hub): State<Hub>,
    Json(offer): Json<Offer>,
) -> Result<Json<Missing>, Error> {
    let held = held(&hub, holder).await?;
    let missing = uploads::offer(&hub, holder, held.collection, &offer).await?;
    Ok(Json(missing))
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    offset: u64,
}

async fn upload(
    Attempt(holder): Attempt,
    State(hub): State<Hub>,
    Path(path): Path<ObjectPath>,
    Query(part): Query<Part>,
    request: Request,
) -> Result<StatusCode, Error> {
    held(&hub, holder).await?;
    let body = request.into_body().into_data_stream();
    let is_complete = uploads::receive(&hub, holder, (path.digest, part.offset), body).await?;
    Ok(if is_complete {
        StatusCode::CREATED
    } else {
        StatusCode::ACCEPTED
    })
}

async fn finish(
    Attempt(holder): Attempt,
    State(hub): State<Hub>,
    Json(outcome): Json<Outcome>,
) -> Result<StatusCode, Error> {
    publish::finish(&hub, holder, &outcome).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn release(Attempt(holder): Attempt, State(hub): State<Hub>) -> Result<StatusCode, Error> {
    queue::release(&hub, holder).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn held(hub: &Hub, holder: Holder) -> Result<Held, Error> {
    leases::held(&hub.db, holder)
        .await?
        .ok_or_else(queue::lease_lost)
}
