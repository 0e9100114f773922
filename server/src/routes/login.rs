//! The way in and out, by a password.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use axum_extra::extract::CookieJar;
use cooperage_protocol::Password;
use serde::Deserialize;
use url::Url;

use crate::auth::{self, SESSION_COOKIE};
use crate::clients;
use crate::db::sessions::{self, Place};
use crate::error::Error;
use crate::login_limit::LoginLimit;
use crate::pages::LoginPage;
use crate::rights::Visit;
use crate::state::Hub;

const SESSION_SECONDS: i64 = auth::SESSION_DAYS as i64 * 24 * 60 * 60;

/// The routes of the login.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/login", get(show).post(log_in))
        .route("/logout", post(log_out))
        .layer(Extension(LoginLimit::default()))
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: Password,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Asked {
    next: Option<String>,
}

async fn show(
    visit: Visit,
    State(hub): State<Hub>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> LoginPage {
    let next = asked.next.map(|next| own_page(&next).to_owned());
    let next = next.unwrap_or_else(|| page_before(&headers));
    LoginPage::ask(&hub, &visit, "", next)
}

/// The page that the reader comes from, to go back to after the login.
fn page_before(headers: &HeaderMap) -> String {
    let referer = headers
        .get(header::REFERER)
        .and_then(|referer| Url::parse(referer.to_str().ok()?).ok());
    referer.map_or_else(|| "/".to_owned(), |url| own_page(url.path()).to_owned())
}

/// The path when it is one of this hub's pages, otherwise the front page.
///
/// # Security
///
/// The path comes from outside, and browsers read `//host` and `/\\host` as other sites.
pub(crate) fn own_page(path: &str) -> &str {
    let is_own = path.starts_with('/')
        && !path.starts_with("//")
        && path != "/login"
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own { path } else { "/" }
}

async fn log_in(
    State(hub): State<Hub>,
    Extension(limit): Extension<LoginLimit>,
    visit: Visit,
    At(place): At,
    Form(form): Form<Credentials>,
) -> Result<Response, Error> {
    match auth::log_in(&hub, &limit, (&form.name, form.password), &place).await {
        Ok(token) => {
            let page = Redirect::to(own_page(&form.next));
            Ok((keep_session(&hub, &token), page).into_response())
        }
        Err(Error::Unauthorized(why)) => {
            let page = LoginPage::ask(&hub, &visit, why, form.next);
            Ok((StatusCode::UNAUTHORIZED, page).into_response())
        }
        Err(error) => Err(error),
    }
}

/// Where a request comes from.
pub(crate) struct At(pub(crate) Place);

impl FromRequestParts<Hub> for At {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, Infallible> {
        let trusted = &hub.config.trusted_proxies;
        let address = clients::address_of(trusted, &parts.headers, &parts.extensions);
        let agent = parts.headers.get(header::USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok());
        Ok(Self(Place {
            address: address.map_or_else(String::new, |address| address.to_string()),
            agent: agent.unwrap_or_default().chars().take(200).collect(),
        }))
    }
}

/// Gives the browser the token of a session that has begun.
pub(crate) fn keep_session(hub: &Hub, token: &str) -> [(HeaderName, String); 1] {
    set_cookie(hub, SESSION_COOKIE, token, SESSION_SECONDS)
}

/// Gives the browser a cookie, which no script and no other site's form gets.
pub(crate) fn set_cookie(
    hub: &Hub,
    name: &str,
    token: &str,
    seconds: i64,
) -> [(HeaderName, String); 1] {
    let secure = if hub.config.public_url.scheme() == "https" {
        "; Secure"
    } else {
        ""
    };
    let cookie =
        format!("{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    [(header::SET_COOKIE, cookie)]
}

async fn log_out(State(hub): State<Hub>, jar: CookieJar) -> Result<Response, Error> {
    if let Some(cookie) = jar.get(SESSION_COOKIE) {
        sessions::end(&hub.db, &auth::hash_token(cookie.value())).await?;
    }
    Ok((set_cookie(&hub, SESSION_COOKIE, "", 0), Redirect::to("/")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_no_other_site() {
        for (path, led_to) in [
            ("/lab/tool", "/lab/tool"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example/", "/"),
            ("/a\r\nb", "/"),
            ("/login", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_page(path), led_to, "{path:?}");
        }
    }
}
