//! What clients ask of a keystore: `/pks/lookup` and `/pks/add`.
//! <https://datatracker.ietf.org/doc/html/draft-shaw-openpgp-hkp-00>

use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::Utc;
use serde::Deserialize;

use super::library::LibraryError;
use crate::error::Error;
use crate::keystore::{self, Page};
use crate::openpgp::{Lapse, PublicKey};
use crate::rights::Visit;
use crate::state::Hub;

/// The largest form with a key in it.
const LARGEST_KEY: usize = 256 << 10;

/// Tells where the next page begins.
const NEXT_PAGE: &str = "x-hkp-next-page-token";

/// The routes of the keystore.
pub(super) fn router() -> Router<Hub> {
    Router::new().route("/pks/lookup", get(look_up)).route(
        "/pks/add",
        post(add).layer(DefaultBodyLimit::max(LARGEST_KEY)),
    )
}

#[derive(Deserialize)]
struct Lookup {
    op: Option<Operation>,
    #[serde(default)]
    search: String,
    exact: Option<String>,
    #[serde(rename = "x-pagesize")]
    page_size: Option<i64>,
    #[serde(rename = "x-pagetoken")]
    page_token: Option<i64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    /// The keys themselves.
    #[default]
    Get,
    /// What they are.
    Index,
    /// The same: signatures of others, which it would tell of, are not kept.
    Vindex,
}

async fn look_up(
    State(hub): State<Hub>,
    query: Result<Query<Lookup>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, LibraryError> {
    let Query(lookup) = query.map_err(|error| Error::BadRequest(error.body_text()))?;
    let search = keystore::parse_search(&lookup.search, lookup.exact.as_deref() == Some("on"))?;
    let passed = lookup.page_token.unwrap_or_default();
    let page = keystore::find(&hub, &search, (passed, lookup.page_size)).await?;
    if page.keys.is_empty() && passed == 0 {
        let message = format!("there is no key for {:?} here", lookup.search);
        return Err(Error::NotFound(message).into());
    }
    let (content_type, text) = match lookup.op.unwrap_or_default() {
        Operation::Get => ("application/pgp-keys", armored(&page)?),
        Operation::Index | Operation::Vindex => ("text/plain; charset=utf-8", index(&page)),
    };
    let mut response = ([(header::CONTENT_TYPE, content_type)], text).into_response();
    if let Some(next) = page.next {
        response.headers_mut().insert(NEXT_PAGE, next.into());
    }
    Ok(response)
}

fn armored(page: &Page) -> Result<String, Error> {
    let texts = page.keys.iter().map(PublicKey::armored);
    let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
    Ok(texts.join("\n"))
}

/// The keys in lines for machines: one of each key, and one of each of its user ids.
fn index(page: &Page) -> String {
    let lines: String = page.keys.iter().map(lines).collect();
    format!("info:1:{}\n{lines}", page.keys.len())
}

fn lines(key: &PublicKey) -> String {
    let (algorithm, bits) = key.algorithm();
    let bits = bits.map(|bits| bits.to_string()).unwrap_or_default();
    let expires = key.expires_at().map(|time| time.timestamp().to_string());
    let expires = expires.unwrap_or_default();
    let made = key.created_at().timestamp();
    let flag = match key.lapse(Utc::now()) {
        Some(Lapse::Revoked(_)) => "r",
        Some(Lapse::Expired(_)) => "e",
        Some(Lapse::Early(_)) | None => "",
    };
    let fingerprint = key.fingerprint();
    let first = format!("pub:{fingerprint}:{algorithm}:{bits}:{made}:{expires}:{flag}\n");
    let user_ids = key.user_ids();
    let user_ids = user_ids.iter().map(|user_id| escaped(user_id));
    let rest = user_ids.map(|user_id| format!("uid:{user_id}:{made}:{expires}:{flag}\n"));
    std::iter::once(first).chain(rest).collect()
}

/// Colons and ends of lines have a meaning in these lines, and clients decode `%`.
fn escaped(text: &str) -> String {
    let escape = |char: char| {
        if !char.is_control() && ![':', '%'].contains(&char) {
            return char.to_string();
        }
        let mut bytes = [0; 4];
        let bytes = char.encode_utf8(&mut bytes).bytes();
        bytes.fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
    };
    text.chars().map(escape).collect()
}

#[derive(Deserialize)]
struct NewKey {
    keytext: String,
}

async fn add(
    visit: Visit,
    State(hub): State<Hub>,
    form: Result<Form<NewKey>, axum::extract::rejection::FormRejection>,
) -> Result<(StatusCode, String), LibraryError> {
    let Form(new) = form.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::TooLarge(format!("a key may have {LARGEST_KEY} bytes in its form"))
        }
        _ => Error::BadRequest(format!(
            "the body is not a form with a key in keytext: {}",
            error.body_text()
        )),
    })?;
    let fingerprint = keystore::add(&hub, visit.person()?, &new.keytext).await?;
    Ok((StatusCode::OK, format!("the key {fingerprint} is here\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpgp::SigningKey;

    #[test]
    fn lines_tell_of_keys_and_of_nothing_that_a_user_id_smuggles_in() {
        let key = SigningKey::make("Ada: 100%\npub:0").unwrap().public();
        let made = key.created_at().timestamp();
        let page = Page {
            keys: vec![key.clone()],
            next: None,
        };

        let expected = format!(
            "info:1:1\npub:{}:22:256:{made}::\nuid:Ada%3A 100%25%0Apub%3A0:{made}::\n",
            key.fingerprint()
        );

        assert_eq!(index(&page), expected);
    }
}
