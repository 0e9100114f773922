//! The administrator's way in and out.

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use axum_extra::extract::CookieJar;
use serde::Deserialize;
use tower_http::csrf::CsrfLayer;

use crate::auth::{self, LoginLimit, SESSION_COOKIE, Viewer};
use crate::db::sessions;
use crate::error::Error;
use crate::pages::LoginPage;
use crate::state::Hub;

const SESSION_SECONDS: i64 = auth::SESSION_DAYS as i64 * 24 * 60 * 60;

/// The routes of the login.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/login", get(show).post(log_in))
        .route("/logout", post(log_out))
        .layer(Extension(LoginLimit::default()))
        .layer(CsrfLayer::new())
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

async fn show(viewer: Viewer) -> LoginPage {
    LoginPage::ask(viewer, "")
}

async fn log_in(
    State(hub): State<Hub>,
    Extension(limit): Extension<LoginLimit>,
    viewer: Viewer,
    Form(form): Form<Credentials>,
) -> Result<Response, Error> {
    match auth::log_in(&hub.db, &limit, &form.name, form.password).await {
        Ok(token) => {
            Ok((set_cookie(&hub, &token, SESSION_SECONDS), Redirect::to("/")).into_response())
        }
        Err(Error::Unauthorized(why)) => {
            Ok((StatusCode::UNAUTHORIZED, LoginPage::ask(viewer, why)).into_response())
        }
        Err(error) => Err(error),
    }
}

fn set_cookie(hub: &Hub, token: &str, seconds: i64) -> [(HeaderName, String); 1] {
    let secure = if hub.config.public_url.scheme() == "https" {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{SESSION_COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
    );
    [(header::SET_COOKIE, cookie)]
}

async fn log_out(State(hub): State<Hub>, jar: CookieJar) -> Result<Response, Error> {
    if let Some(cookie) = jar.get(SESSION_COOKIE) {
        sessions::end(&hub.db, &auth::hash_token(cookie.value())).await?;
    }
    Ok((set_cookie(&hub, "", 0), Redirect::to("/")).into_response())
}
