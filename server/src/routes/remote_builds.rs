//! The hub as the remote builder of `SingularityCE`: `singularity build --remote`.
//! <https://github.com/sylabs/scs-build-client>
//!
//! The client sends the files that the definition copies, then the definition; it follows the log
//! over a websocket, and pulls the image by `library://`.

use std::path::PathBuf;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cooperage_protocol::admin::Build;
use cooperage_protocol::{BuildId, BuildState, Tag};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::library::{self, LibraryError};
use super::library_push::{Body, data, parse_hash};
use crate::db::images;
use crate::error::Error;
use crate::follow::{Told, follow};
use crate::pages;
use crate::remote_builds::{self, Destination, Wish, builder, contexts};
use crate::rights::Visit;
use crate::state::Hub;

/// The largest definition, which is sent in base64.
const LARGEST_DEFINITION: usize = 16 << 20;

/// How often a silent connection is used, so that nothing between gives it up.
const PING: Duration = Duration::from_secs(20);

/// The routes of remote builds.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route(
            "/v1/build",
            post(submit).layer(DefaultBodyLimit::max(LARGEST_DEFINITION)),
        )
        .route("/v1/build/{id}", get(show))
        .route("/v1/build/{id}/_cancel", put(cancel))
        .route("/v1/build-ws/{id}", get(tell))
        .route("/v1/build-context", post(expect_context))
        .route(
            "/v1/build-context/{digest}",
            put(receive_context)
                .layer(DefaultBodyLimit::disable())
                .merge(delete(remove_context)),
        )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewBuild {
    definition_raw: String,
    #[serde(default)]
    library_ref: String,
    #[serde(default)]
    builder_requirements: Requirements,
    #[serde(default)]
    context_digest: String,
    #[serde(default)]
    working_dir: PathBuf,
}

#[derive(Default, Deserialize)]
struct Requirements {
    #[serde(default)]
    arch: String,
}

async fn submit(
    State(hub): State<Hub>,
    visit: Visit,
    Body(new): Body<NewBuild>,
) -> Result<(StatusCode, Json<Value>), LibraryError> {
    builder(&hub, &visit.caller)?;
    let definition = STANDARD.decode(&new.definition_raw).map_err(|error| {
        Error::BadRequest(format!("definitionRaw is not a text in base64: {error}"))
    })?;
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let wish = Wish {
        definition,
        destination: some(new.library_ref)
            .map(|text| destination(&hub, &text))
            .transpose()?,
        architecture: some(new.builder_requirements.arch),
        context: some(new.context_digest)
            .map(|text| parse_hash(&text))
            .transpose()?,
        folder: new.working_dir,
    };
    let id = remote_builds::submit(&hub, &visit.caller, wish).await?;
    Ok((StatusCode::CREATED, described(&hub, id).await?))
}

/// Reads `library://[host/]owner/repo/repo[:tag,…]`; the host can only be this hub.
fn destination(hub: &Hub, text: &str) -> Result<Destination, Error> {
    let path = text.strip_prefix("library:").unwrap_or(text);
    let path = path.trim_start_matches('/');
    let here = hub.config.public_url.authority();
    let path = path.strip_prefix(here).unwrap_or(path);
    let (container, tags) = match path.rsplit_once(':') {
        Some((container, tags)) if !tags.contains('/') => (container, tags),
        _ => (path, "latest"),
    };
    if container.contains(':') {
        let message = format!("{text} is of another host than {here}, where this hub is");
        return Err(Error::Unprocessable(message));
    }
    let mut tags = tags.split(',').map(|tag| {
        tag.parse::<Tag>()
            .map_err(|error| Error::Unprocessable(error.to_string()))
    });
    let first = tags.next().unwrap_or_else(|| Ok(Tag::latest()))?;
    Ok(Destination {
        collection: library::collection_of(container)?,
        tags: (first, tags.collect::<Result<_, _>>()?),
    })
}

async fn show(
    State(hub): State<Hub>,
    Path(id): Path<BuildId>,
) -> Result<Json<Value>, LibraryError> {
    Ok(described(&hub, id).await?)
}

async fn cancel(
    State(hub): State<Hub>,
    Path(id): Path<BuildId>,
) -> Result<Json<Value>, LibraryError> {
    crate::cancel_build(&hub, id).await?;
    Ok(described(&hub, id).await?)
}

/// A build in the client's words. It pulls the image when there is one.
async fn described(hub: &Hub, id: BuildId) -> Result<Json<Value>, Error> {
    let build = Build::try_from(super::find_build(hub, id).await?)?;
    let repository = build.collection.repository();
    let mut told = json!({
        "id": id,
        "isComplete": build.state.is_final(),
        "libraryRef": format!("library://{}/{repository}:{}", build.collection, build.tag),
        "libraryURL": pages::url(hub, ""),
    });
    if build.state == BuildState::Succeeded
        && let Some((size, digest)) = images::of_build(&hub.db, id).await?
    {
        told["imageSize"] = json!(size);
        told["imageChecksum"] = json!(digest.replace("sha256:", "sha256."));
    }
    Ok(data(told))
}

async fn tell(
    State(hub): State<Hub>,
    Path(id): Path<BuildId>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(async move |socket| {
        if let Err(error) = send_log(&hub, id, socket).await {
            tracing::debug!(%error, build.id = %id, "nobody follows a remote build any more");
        }
    })
}

/// Sends the log until the build is over, then closes as clients expect.
async fn send_log(hub: &Hub, id: BuildId, mut socket: WebSocket) -> Result<(), axum::Error> {
    let mut told = std::pin::pin!(follow(hub, id, 0).await);
    let mut is_over = false;
    loop {
        let next = tokio::select! {
            next = told.next() => next,
            heard = socket.recv() => match heard {
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            () = tokio::time::sleep(PING) => {
                socket.send(Message::Ping(Vec::new().into())).await?;
                continue;
            }
        };
        match next {
            Some(Told::Log(text, _)) => socket.send(Message::Text(text.into())).await?,
            Some(Told::State(build)) => {
                is_over = build.state.is_final();
                if let Some(failure) = &build.failure {
                    let text = format!("\nERROR: {}\n", failure.message);
                    socket.send(Message::Text(text.into())).await?;
                }
            }
            None => break,
        }
    }
    let frame = CloseFrame {
        code: if is_over {
            close_code::NORMAL
        } else {
            close_code::ERROR
        },
        reason: "".into(),
    };
    socket.send(Message::Close(Some(frame))).await
}

#[derive(Deserialize)]
struct NewContext {
    size: u64,
    digest: String,
}

async fn expect_context(
    State(hub): State<Hub>,
    visit: Visit,
    Body(new): Body<NewContext>,
) -> Result<Response, LibraryError> {
    let person = builder(&hub, &visit.caller)?;
    let digest = parse_hash(&new.digest)?;
    let address = contexts::expect(&hub, person.id, (digest, new.size)).await?;
    Ok(match address {
        Some(address) => (
            StatusCode::CREATED,
            [(header::LOCATION, address)],
            data(json!({})),
        )
            .into_response(),
        None => data(json!({})).into_response(),
    })
}

async fn receive_context(
    State(hub): State<Hub>,
    Path(digest): Path<String>,
    Query(address): Query<contexts::Address>,
    request: Request,
) -> Result<StatusCode, LibraryError> {
    let body = request.into_body().into_data_stream();
    contexts::receive(&hub, parse_hash(&digest)?, &address, body).await?;
    Ok(StatusCode::CREATED)
}

async fn remove_context(
    State(hub): State<Hub>,
    visit: Visit,
    Path(digest): Path<String>,
) -> Result<StatusCode, LibraryError> {
    let person = builder(&hub, &visit.caller)?;
    contexts::remove(&hub, person.id, parse_hash(&digest)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
