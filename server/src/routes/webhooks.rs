//! What do forges tell the hub? Stored first, answered at once, processed after.

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;

use crate::db::collections::{self, Collection};
use crate::db::deliveries::{self, NewDelivery, Recorded};
use crate::error::Error;
use crate::forge::{self, Event, github};
use crate::state::Hub;

/// GitHub sends nothing that is larger.
const LARGEST_BODY: usize = 25 << 20;

/// A repository that is not connected and a signature that is wrong are told alike, so that
/// nobody can find out which repositories are connected.
const UNKNOWN: Error =
    Error::Unauthorized("no connected repository has a secret that made this signature");

/// The routes of forges.
pub fn router() -> Router<Hub> {
    Router::new()
        .route("/webhooks/github", post(github))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// The answer to a webhook.
#[derive(Debug, Serialize)]
struct Receipt {
    /// The hub's id of the delivery.
    delivery: String,
    /// The page that will show what became of it.
    url: String,
    /// What happens to it.
    verdict: &'static str,
}

async fn github(
    State(hub): State<Hub>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Error> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge("a webhook has at most 25 MiB".to_owned()),
        _ => Error::BadRequest(rejection.body_text()),
    })?;
    let event_name = required(&headers, "X-GitHub-Event")?;
    let forge_id = required(&headers, "X-GitHub-Delivery")?;
    let content_type = text(&headers, header::CONTENT_TYPE.as_str()).unwrap_or("application/json");
    let json = forge::json_of(content_type, &body).map_err(malformed)?;
    let repository = github::repository(&json)
        .map_err(malformed)?
        .unwrap_or_default();
    let candidates = collections::candidates(&hub.db, github::NAME, &repository).await?;

    let signature = text(&headers, "X-Hub-Signature-256").unwrap_or_default();
    let signer = find_signer(&candidates, signature, &body);
    let Some(collection) = signer.or(candidates.first()) else {
        return Err(UNKNOWN);
    };
    let mut delivery = NewDelivery {
        collection: collection.id,
        forge: github::NAME,
        forge_id,
        event: event_name,
        payload: &body,
        content_type,
        verdict: None,
    };
    if signer.is_none() {
        deliveries::reject(&hub.db, &delivery).await?;
        return Err(UNKNOWN);
    }
    let event = github::parse_event(event_name, &json).map_err(malformed)?;
    delivery.verdict = match &event {
        Event::Push(_) => None,
        Event::Ping => Some(("ping", None)),
        Event::Ignored { reason } => Some(("ignored", Some(reason))),
    };
    Ok(receipt(&hub, deliveries::record(&hub.db, &delivery).await?))
}

fn find_signer<'a>(
    candidates: &'a [Collection],
    signature: &str,
    body: &[u8],
) -> Option<&'a Collection> {
    if candidates.is_empty() {
        // The answer must not come sooner for repositories that are not connected.
        let known = github::verify_signature(b"no collection", signature, body);
        tracing::debug!(
            known = known.is_ok(),
            "webhook of a repository that is not connected"
        );
    }
    candidates.iter().find(|collection| {
        let secret = collection.webhook_secret.as_bytes();
        github::verify_signature(secret, signature, body).is_ok()
    })
}

fn receipt(hub: &Hub, recorded: Recorded) -> Response {
    let (id, verdict) = match recorded {
        Recorded::Accepted(id) => (id, "accepted"),
        Recorded::AlreadyDone(id) => (id, "already processed"),
    };
    let url = hub.config.url(&format!("/deliveries/{id}"));
    let location = [(header::LOCATION, url.clone())];
    let receipt = Receipt {
        delivery: id.to_string(),
        url,
        verdict,
    };
    (StatusCode::ACCEPTED, location, Json(receipt)).into_response()
}

fn required<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Error> {
    text(headers, name)
        .filter(|value| !value.is_empty() && value.len() <= 256)
        .ok_or_else(|| Error::BadRequest(format!("the header {name} is missing")))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn malformed(error: forge::Malformed) -> Error {
    Error::BadRequest(error.0)
}
