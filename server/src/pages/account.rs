//! One's own account: tokens for programs, where one is logged in, and how one logs in.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use cooperage_protocol::accounts::{Identity, NewToken, Session, Token};
use cooperage_protocol::{Password, Scope, SessionId, TokenId};
use serde::Deserialize;
use tower_http::set_header::SetResponseHeaderLayer;

use super::login::{self, Button};
use super::{Layout, format};
use crate::db::{tokens, users};
use crate::error::Error;
use crate::rights::Visit;
use crate::state::Hub;
use crate::{accounts, sign_in};

const PAGE: &str = "/auth/tokens";

/// The routes of one's own account.
pub(super) fn router() -> Router<Hub> {
    let unkept = SetResponseHeaderLayer::overriding(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    Router::new()
        .route(PAGE, get(show).post(add_token))
        .route("/auth/tokens/revoke", post(revoke_token))
        .route("/auth/sessions/revoke", post(end_session))
        .route("/auth/password", post(change_password))
        .layer(unkept)
}

#[derive(Template, WebTemplate)]
#[template(path = "account.html")]
struct AccountPage {
    layout: Layout,
    name: String,
    tokens: Vec<Token>,
    sessions: Vec<Session>,
    identities: Vec<Identity>,
    providers: Vec<Button>,
    has_password: bool,
    said: Said,
}

/// What the page answers to the form that was sent.
#[derive(Default)]
pub(super) struct Said {
    /// A token, shown once.
    token: Option<String>,
    /// Why no token was made.
    token_refused: Option<String>,
    /// Why an account stays linked.
    identity_refused: Option<String>,
    /// Why the password stays.
    password_refused: Option<String>,
    /// Whether there is another password now.
    is_password_changed: bool,
}

impl Said {
    /// Why an account stays linked.
    pub(super) fn stays_linked(told: String) -> Self {
        Self {
            identity_refused: Some(told),
            ..Self::default()
        }
    }
}

async fn show(visit: Visit, State(hub): State<Hub>) -> Result<AccountPage, Error> {
    page(&hub, &visit, Said::default()).await
}

async fn page(hub: &Hub, visit: &Visit, said: Said) -> Result<AccountPage, Error> {
    let person = visit.person()?;
    Ok(AccountPage {
        layout: Layout::new(visit, "account"),
        name: person.name.clone(),
        tokens: tokens::list(&hub.db, person.id).await?,
        sessions: accounts::sessions_of(hub, person).await?,
        identities: sign_in::list(hub, person).await?,
        providers: login::buttons(hub),
        has_password: users::password_hash(&hub.db, person.id).await?.is_some(),
        said,
    })
}

#[derive(Deserialize)]
struct Wish {
    name: String,
    scope: Scope,
    days: u16,
}

async fn add_token(
    visit: Visit,
    State(hub): State<Hub>,
    Form(wish): Form<Wish>,
) -> Result<Response, Error> {
    let new = NewToken {
        name: wish.name,
        scopes: vec![wish.scope],
        days: Some(wish.days).filter(|days| *days > 0),
    };
    match accounts::add_token(&hub, visit.person()?, &new).await {
        Ok(added) => {
            let said = Said {
                token: Some(added.token),
                ..Said::default()
            };
            Ok(page(&hub, &visit, said).await?.into_response())
        }
        Err(Error::Unprocessable(told)) => {
            let said = Said {
                token_refused: Some(told),
                ..Said::default()
            };
            refused(&hub, &visit, said).await
        }
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct OneToken {
    id: TokenId,
}

async fn revoke_token(
    visit: Visit,
    State(hub): State<Hub>,
    Form(form): Form<OneToken>,
) -> Result<Redirect, Error> {
    accounts::revoke_token(&hub, visit.person()?, form.id).await?;
    Ok(Redirect::to(PAGE))
}

#[derive(Deserialize)]
struct OneSession {
    id: SessionId,
}

async fn end_session(
    visit: Visit,
    State(hub): State<Hub>,
    Form(form): Form<OneSession>,
) -> Result<Redirect, Error> {
    accounts::end_session(&hub, visit.person()?, form.id).await?;
    Ok(Redirect::to("/auth/tokens#sessions"))
}

#[derive(Deserialize)]
struct Change {
    #[serde(default = "no_password")]
    old: Password,
    new: Password,
}

/// Who has none yet is not asked for it.
fn no_password() -> Password {
    Password::from(String::new())
}

async fn change_password(
    visit: Visit,
    State(hub): State<Hub>,
    Form(form): Form<Change>,
) -> Result<Response, Error> {
    let changed = accounts::change_password(&hub, visit.person()?, form.old, form.new).await;
    match changed {
        Err(Error::Unprocessable(told)) => {
            let said = Said {
                password_refused: Some(told),
                ..Said::default()
            };
            refused(&hub, &visit, said).await
        }
        Err(error) => Err(error),
        Ok(()) => {
            let said = Said {
                is_password_changed: true,
                ..Said::default()
            };
            Ok(page(&hub, &visit, said).await?.into_response())
        }
    }
}

/// The page, and why what was asked for was not done.
pub(super) async fn refused(hub: &Hub, visit: &Visit, said: Said) -> Result<Response, Error> {
    let page = page(hub, visit, said).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// What a token is good for, in a word or two.
fn scopes(token: &Token) -> String {
    let scopes: Vec<_> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    scopes.join(", ")
}

/// Whether a token is good no more.
fn is_over(token: &Token) -> bool {
    token
        .expires_at
        .is_some_and(|expires_at| expires_at < chrono::Utc::now())
}
