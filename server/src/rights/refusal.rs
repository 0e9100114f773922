//! How is a caller refused? In the words of the protocol that is spoken, and never so that what
//! may not be seen can be told from what is not there.

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use cooperage_protocol::admin::Problem;
use serde_json::json;

use super::table::Form;
use crate::error::Error;
use crate::state::Hub;

/// Why a request does not get through to its handler.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is nothing of this name, as far as the caller may know.
    Missing(String),
    /// Somebody has to say who they are first.
    Anonymous,
    /// Whoever it is, they may not.
    Forbidden(&'static str),
    /// What is wrong is none of the caller's rights.
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

/// What a refused request was about.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Whether it came without an account.
    pub(super) is_anonymous: bool,
    /// The page that was asked for, to come back to.
    pub(super) page: Option<String>,
    /// The `scope` of the registry token that it would need.
    pub(super) scope: Option<String>,
}

impl Refusal {
    /// The answer in the form that the caller reads.
    pub(super) fn answer(self, hub: &Hub, form: Form, asked: &Asked) -> Response {
        match (form, self) {
            (Form::Page, Self::Anonymous) => {
                Redirect::to(&login(asked.page.as_deref())).into_response()
            }
            // Clients of registries say who they are only when they are asked to.
            (Form::Registry, Self::Missing(_)) if asked.is_anonymous => {
                challenge(hub, asked.scope.as_deref())
            }
            (Form::Registry, Self::Anonymous) => challenge(hub, asked.scope.as_deref()),
            (Form::Registry, refusal) => registry(hub, refusal, asked),
            (Form::Library, refusal) => library(refusal.into_error()),
            // Their clients tell of wrong credentials only after a 404.
            (Form::TokenStatus, refusal) => library(match refusal.into_error() {
                Error::Unauthorized(why) => Error::NotFound(why.to_owned()),
                other => other,
            }),
            (Form::File, refusal) => file(refusal.into_error()),
            (Form::Page | Form::Problem, refusal) => refusal.into_error().into_response(),
        }
    }

    fn into_error(self) -> Error {
        match self {
            Self::Missing(what) => Error::NotFound(what),
            Self::Anonymous => Error::Unauthorized(
                "log in, or send a token: 'Authorization: Bearer TOKEN'; make one at /auth/tokens",
            ),
            Self::Forbidden(why) => Error::Forbidden(why),
            Self::Other(error) => error,
        }
    }
}

fn login(page: Option<&str>) -> String {
    let Some(page) = page else {
        return "/login".to_owned();
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", page);
    format!("/login?{}", query.finish())
}

/// Asks a client of registries for a token, and says where to get one.
pub(crate) fn challenge(hub: &Hub, scope: Option<&str>) -> Response {
    let body = errors("UNAUTHORIZED", "this needs a token with the right to it");
    let headers = [bearer_challenge(hub, scope, None)];
    (StatusCode::UNAUTHORIZED, headers, Json(body)).into_response()
}

/// `WWW-Authenticate` of the registry protocol.
/// <https://distribution.github.io/distribution/spec/auth/token/>
fn bearer_challenge(hub: &Hub, scope: Option<&str>, error: Option<&str>) -> (HeaderName, String) {
    let realm = hub.config.url("/v2/token");
    let service = hub.config.public_url.host_str().unwrap_or("cooperage");
    let mut value = format!("Bearer realm=\"{realm}\",service=\"{service}\"");
    for (name, text) in [("scope", scope), ("error", error)] {
        if let Some(text) = text {
            value = format!("{value},{name}=\"{text}\"");
        }
    }
    (header::WWW_AUTHENTICATE, value)
}

fn registry(hub: &Hub, refusal: Refusal, asked: &Asked) -> Response {
    let code = match &refusal {
        Refusal::Missing(_) => "NAME_UNKNOWN",
        Refusal::Forbidden(_) => "DENIED",
        Refusal::Other(Error::TooMany { .. }) => "TOOMANYREQUESTS",
        _ => "UNAUTHORIZED",
    };
    let error = refusal.into_error();
    let status = error.status();
    if status.is_server_error() {
        return error.into_response();
    }
    let body = Json(errors(code, &error.to_string()));
    if status == StatusCode::UNAUTHORIZED {
        let headers = [bearer_challenge(
            hub,
            asked.scope.as_deref(),
            Some("invalid_token"),
        )];
        return (status, headers, body).into_response();
    }
    (status, error.retry_after(), body).into_response()
}

fn errors(code: &str, message: &str) -> serde_json::Value {
    json!({ "errors": [{ "code": code, "message": message }] })
}

fn library(error: Error) -> Response {
    let status = error.status();
    if status.is_server_error() {
        return error.into_response();
    }
    let body = Json(json!({ "error": library_error(&error) }));
    (status, error.retry_after(), body).into_response()
}

fn library_error(error: &Error) -> serde_json::Value {
    json!({ "code": error.status().as_u16(), "message": error.to_string() })
}

/// A problem as it is told everywhere, and once more where Apptainer looks for it.
fn file(error: Error) -> Response {
    let shown = library_error(&error);
    let response = error.into_response();
    let Some(problem) = response.extensions().get::<Problem>() else {
        return response;
    };
    let mut body = json!(problem);
    body["error"] = shown;
    response.map(|_| Body::from(body.to_string()))
}
