//! Where browsers leave for a provider and come back from it.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use axum_extra::extract::CookieJar;
use cooperage_protocol::IdentityId;
use serde::Deserialize;
use tower_http::set_header::SetResponseHeaderLayer;

use super::account::{self, Said};
use super::{Layout, LoginPage};
use crate::auth;
use crate::db::sessions::Place;
use crate::error::Error;
use crate::rights::Visit;
use crate::routes::{At, keep_session, own_page, set_cookie};
use crate::sign_in::{self, Answer, Purpose};
use crate::state::Hub;

/// Holds what a browser shows when it comes back.
const COOKIE: &str = "cooperage_sign_in";
const COOKIE_SECONDS: i64 = 600;

const ACCOUNT: &str = "/auth/tokens#identities";

/// The routes of signing in with a provider.
pub(super) fn router() -> Router<Hub> {
    let unkept = SetResponseHeaderLayer::overriding(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    Router::new()
        .route("/auth/sign-in/{provider}", get(begin))
        .route("/auth/callback/{provider}", get(finish))
        .route("/auth/identities", post(link))
        .route("/auth/identities/remove", post(unlink))
        .layer(unkept)
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    next: String,
}

async fn begin(
    visit: Visit,
    At(place): At,
    State(hub): State<Hub>,
    Path(provider): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Error> {
    let provider = hub.providers.find(&provider)?;
    let next = own_page(&asked.next);
    match sign_in::begin(&hub, provider, Purpose::LogIn, next, &place.address).await {
        Ok(begun) => {
            let cookie = set_cookie(&hub, COOKIE, &begun.browser, COOKIE_SECONDS);
            Ok((cookie, Redirect::to(&begun.url)).into_response())
        }
        Err(error) => refused(&hub, &visit, error, next),
    }
}

async fn finish(
    visit: Visit,
    At(place): At,
    State(hub): State<Hub>,
    Path(provider): Path<String>,
    (jar, Query(answer)): (CookieJar, Query<Answer>),
) -> Result<Response, Error> {
    let provider = hub.providers.find(&provider)?;
    let browser = jar.get(COOKIE).map_or("", |cookie| cookie.value());
    let person = visit.caller.person();
    let done = match sign_in::finish(&hub, provider, &answer, browser, person).await {
        Ok(done) => done,
        Err(error) => return refused(&hub, &visit, error, "/"),
    };
    let page = Redirect::to(&done.next);
    let [forgotten] = set_cookie(&hub, COOKIE, "", 0);
    if done.is_linked {
        return Ok(([forgotten], page).into_response());
    }
    let token = auth::begin_session(&hub, done.user, &place).await?;
    let [kept] = keep_session(&hub, &token);
    Ok((AppendHeaders([forgotten, kept]), page).into_response())
}

/// The page of the login, and why nobody was signed in.
fn refused(hub: &Hub, visit: &Visit, error: Error, next: &str) -> Result<Response, Error> {
    if matches!(error, Error::Internal(_)) {
        return Err(error);
    }
    let page = LoginPage::ask(hub, visit, &error.to_string(), next.to_owned());
    Ok((error.status(), page).into_response())
}

#[derive(Deserialize)]
struct Wish {
    provider: String,
}

/// # Security
///
/// By a form of ours: a link could be followed by mistake, and link what another site has signed
/// the browser in to.
async fn link(
    visit: Visit,
    At(place): At,
    State(hub): State<Hub>,
    Form(wish): Form<Wish>,
) -> Result<Response, Error> {
    let purpose = Purpose::Link(visit.person()?.id);
    go_on(&hub, &visit, (&wish.provider, purpose), &place).await
}

#[derive(Template, WebTemplate)]
#[template(path = "going.html")]
struct GoingPage {
    layout: Layout,
    name: String,
    url: String,
}

/// Sends a browser to a provider after a form: by a page, because forms may lead to no other site.
pub(super) async fn go_on(
    hub: &Hub,
    visit: &Visit,
    (provider, purpose): (&str, Purpose),
    place: &Place,
) -> Result<Response, Error> {
    let provider = hub.providers.find(provider)?;
    let next = match purpose {
        Purpose::Link(_) => ACCOUNT,
        Purpose::LogIn | Purpose::Invitation(_) => "/",
    };
    let begun = match sign_in::begin(hub, provider, purpose, next, &place.address).await {
        Ok(begun) => begun,
        Err(error) => return refused(hub, visit, error, next),
    };
    let cookie = set_cookie(hub, COOKIE, &begun.browser, COOKIE_SECONDS);
    let refresh = [(
        HeaderName::from_static("refresh"),
        format!("0; url={}", begun.url),
    )];
    let page = GoingPage {
        layout: Layout::new(visit, ""),
        name: provider.name().to_owned(),
        url: begun.url,
    };
    Ok((cookie, refresh, page).into_response())
}

#[derive(Deserialize)]
struct One {
    id: IdentityId,
}

async fn unlink(
    visit: Visit,
    State(hub): State<Hub>,
    Form(form): Form<One>,
) -> Result<Response, Error> {
    match sign_in::unlink(&hub, visit.person()?, form.id).await {
        Ok(()) => Ok(Redirect::to(ACCOUNT).into_response()),
        Err(Error::Conflict(told)) => {
            account::refused(&hub, &visit, Said::stays_linked(told)).await
        }
        Err(error) => Err(error),
    }
}
