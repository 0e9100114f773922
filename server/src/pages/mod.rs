//! What people see, one struct and one template per page.

mod account;
mod annotated;
mod api;
mod build;
mod check;
mod collection;
mod commands;
mod deliveries;
mod errors;
mod format;
mod forms;
mod highlight;
mod home;
mod image;
mod invitation;
mod login;
mod logs;
mod members;
mod queue;
mod recipe;
mod redact;
mod settings;
mod sign_in;
mod users;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

pub(crate) use errors::show_errors;
pub(crate) use login::LoginPage;
pub(crate) use recipe::text as recipe_text;
pub(crate) use redact::redacted;

use crate::error::Error;
use crate::rights::{Action, Person, Visit};
use crate::state::Hub;

/// The pages' routes.
pub fn router() -> Router<Hub> {
    Router::new()
        .merge(home::router())
        .merge(api::router())
        .merge(collection::router())
        .merge(build::router())
        .merge(image::router())
        .merge(queue::router())
        .merge(deliveries::router())
        .merge(forms::router())
        .merge(account::router())
        .merge(invitation::router())
        .merge(sign_in::router())
        .merge(users::router())
        .merge(settings::router())
}

/// The address of something as clients know it; `path` begins with a slash.
pub fn url(hub: &Hub, path: &str) -> String {
    format!(
        "{}{path}",
        hub.config.public_url.as_str().trim_end_matches('/')
    )
}

/// What all pages have in common.
#[derive(Debug)]
struct Layout {
    /// The name of the reader's account.
    person: Option<String>,
    /// Whether the reader runs the hub.
    runs_the_hub: bool,
    /// Whether buttons are shown that ask for builds of the page's collection.
    may_build: bool,
    /// Whether buttons are shown that change the page's collection.
    may_manage: bool,
    /// Which link of the navigation is this page.
    here: &'static str,
}

impl Layout {
    fn new(visit: &Visit, here: &'static str) -> Self {
        Self {
            person: visit.caller.person().map(|person| person.name.clone()),
            runs_the_hub: visit.caller.person().is_some_and(Person::runs_the_hub),
            may_build: visit.may(Action::Build),
            may_manage: visit.may(Action::Manage),
            here,
        }
    }
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Makes browsers run nothing but the hub's own script, whatever a recipe smuggles into a page.
pub(crate) async fn add_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let also = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in also {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn not_found(what: impl Into<String>) -> Error {
    Error::NotFound(what.into())
}
