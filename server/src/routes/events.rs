//! A build as it happens: its log and its states, live for pages and the command line.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use cooperage_protocol::BuildId;
use cooperage_protocol::admin::Build;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::{OnceCell, broadcast};

use crate::db::views::BuildRow;
use crate::db::{logs, views};
use crate::error::Error;
use crate::state::Hub;

const POLL: Duration = Duration::from_secs(1);

/// The routes of a build's log.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/builds/{id}/events", get(events))
        .route("/builds/{id}/log", get(log))
        .layer(Extension(Wakeups::default()))
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    offset: u64,
}

async fn events(
    State(hub): State<Hub>,
    Extension(wakeups): Extension<Wakeups>,
    Path(id): Path<BuildId>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    find_build(&hub, id).await?;
    let follower = Follower {
        hub: hub.clone(),
        build: id,
        offset: last_event_id(&headers)
            .unwrap_or(from.offset)
            .try_into()
            .unwrap_or(i64::MAX),
        seen: None,
        is_over: false,
        wakeups: wakeups.subscribe(&hub.db).await,
    };
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    let sse = Sse::new(follower.into_stream()).keep_alive(keep_alive);
    // Proxies that buffer would turn a live log into a late one.
    Ok(([("x-accel-buffering", "no")], sse).into_response())
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

/// One listener on the database for all who follow a build, started by the first of them.
#[derive(Clone, Default)]
struct Wakeups(Arc<OnceCell<broadcast::Sender<String>>>);

impl Wakeups {
    async fn subscribe(&self, db: &PgPool) -> broadcast::Receiver<String> {
        let sender = self.0.get_or_init(async || {
            let (sender, _) = broadcast::channel(256);
            tokio::spawn(listen(db.clone(), sender.clone()));
            sender
        });
        sender.await.subscribe()
    }
}

/// Passes notifications on until the pool is closed. While the database is away, followers poll.
async fn listen(db: PgPool, sender: broadcast::Sender<String>) {
    while !db.is_closed() {
        if let Err(error) = pass_on(&db, &sender).await
            && !db.is_closed()
        {
            tracing::warn!(%error, "lost the database's notifications");
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn pass_on(db: &PgPool, sender: &broadcast::Sender<String>) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(db).await?;
    listener.listen_all(["build_log", "build_state"]).await?;
    loop {
        let notification = listener.recv().await?;
        // An error says that nobody follows a build now, which is fine.
        sender.send(notification.payload().to_owned()).ok();
    }
}

/// Somebody who follows a build, and how far they have got.
struct Follower {
    hub: Hub,
    build: BuildId,
    offset: i64,
    seen: Option<String>,
    is_over: bool,
    wakeups: broadcast::Receiver<String>,
}

impl Follower {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let events = follower.next().await?;
            Some((stream::iter(events.into_iter().map(Ok)), follower))
        })
        .flatten()
    }

    /// Waits until there is something to tell; nothing after the final state. An error of the
    /// database ends the stream: the client comes back with the offset it has.
    async fn next(&mut self) -> Option<Vec<Event>> {
        while !self.is_over {
            match self.look().await {
                Ok(events) if events.is_empty() => self.wait().await,
                Ok(events) => return Some(events),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "cannot follow {}", self.build);
                    return None;
                }
            }
        }
        None
    }

    /// The state is read before the log, so that a final state is never told before the last line.
    async fn look(&mut self) -> anyhow::Result<Vec<Event>> {
        let Some(build) = views::build(&self.hub.db, self.build).await? else {
            self.is_over = true;
            return Ok(Vec::new());
        };
        let build = Build::try_from(build)?;
        let phases = views::phases(&self.hub.db, self.build).await?;
        let mut events = self.read_log(build.state.is_final()).await?;
        if build.state.is_final() && !events.is_empty() {
            return Ok(events);
        }
        let json = serde_json::to_string(&build)?;
        let seen = format!("{json}{phases:?}");
        if self.seen.as_ref() != Some(&seen) {
            self.seen = Some(seen);
            self.is_over = build.state.is_final();
            events.push(Event::default().event("state").data(json));
        }
        Ok(events)
    }

    async fn read_log(&mut self, is_final: bool) -> anyhow::Result<Vec<Event>> {
        let pieces = logs::read(&self.hub.db, self.build, self.offset).await?;
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
        let whole = match whole_characters(&bytes) {
            0 if is_final => bytes.len(),
            whole => whole,
        };
        if whole == 0 {
            return Ok(Vec::new());
        }
        self.offset += i64::try_from(whole)?;
        let text = serde_json::to_string(&String::from_utf8_lossy(&bytes[..whole]))?;
        Ok(vec![
            Event::default()
                .event("log")
                .id(self.offset.to_string())
                .data(text),
        ])
    }

    async fn wait(&mut self) {
        let build = self.build.to_string();
        let wakeup =
            async { while matches!(self.wakeups.recv().await, Ok(other) if other != build) {} };
        // Time running out is no error: it is when to look without having been woken.
        tokio::time::timeout(POLL, wakeup).await.ok();
    }
}

/// How many bytes there are without the beginning of a character whose end has not come yet.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(
        bytes
            .get(bytes.len().saturating_sub(4)..)
            .unwrap_or_default(),
    ) {
        Ok(_) => bytes.len(),
        Err(_) => (1..=3.min(bytes.len()))
            .map(|back| bytes.len() - back)
            .find(|&at| bytes[at] & 0xC0 != 0x80)
            .filter(|&at| {
                std::str::from_utf8(&bytes[at..]).is_err_and(|error| error.error_len().is_none())
            })
            .unwrap_or(bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_not_told_before_it_is_whole() {
        for (bytes, whole) in [
            ("abc".as_bytes(), 3),
            ("ab\u{20ac}".as_bytes(), 5),
            (b"ab\xe2\x82", 2),
            (b"\xf0\x9f\x98", 0),
            (b"ab\xff", 3),
            (b"ab\x80\x80\x80\x80", 6),
            (b"", 0),
        ] {
            assert_eq!(whole_characters(bytes), whole, "{bytes:?}");
        }
    }
}
