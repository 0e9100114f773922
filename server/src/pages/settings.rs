//! The settings of a collection: how it builds, what its forge needs, and as whom it fetches its
//! bases. Without a script, and for those alone who may change them.

use std::num::NonZeroU16;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use cooperage_protocol::accounts::Member;
use cooperage_protocol::admin::{CollectionChange, Credential, NewCredential};
use cooperage_protocol::{CollectionName, Mode, Password, RegistryCheck, StepCache};
use serde::Deserialize;
use tower_http::set_header::SetResponseHeaderLayer;

use super::{Layout, check, collection, format, members};
use crate::db::views::{self, CollectionRow, SettingsRow};
use crate::error::Error;
use crate::rights::Visit;
use crate::routes::parse_collection;
use crate::state::Hub;
use crate::{accounts, checks};

/// The routes of settings.
pub(super) fn router() -> Router<Hub> {
    let unkept = SetResponseHeaderLayer::overriding(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    let settings = Router::new()
        .route("/", get(show).post(change))
        .route("/secret", post(renew_secret))
        .route("/visibility", post(members::show_to))
        .route("/members", post(members::put))
        .route("/members/remove", post(members::remove))
        .route("/accounts", post(put_account))
        .route("/accounts/remove", post(remove_account))
        .route("/checks", post(ask_check))
        .route("/checks/{id}", get(check::show))
        .layer(unkept);
    Router::new().nest("/{owner}/{repository}/settings", settings)
}

/// The name of the collection in the address.
pub(super) struct Named(pub(super) CollectionName);

#[derive(Deserialize)]
struct Names {
    owner: String,
    repository: String,
}

impl FromRequestParts<Hub> for Named {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, Response> {
        let names = Path::<Names>::from_request_parts(parts, hub).await;
        let Path(names) = names.map_err(IntoResponse::into_response)?;
        parse_collection(&names.owner, &names.repository)
            .map(Self)
            .map_err(IntoResponse::into_response)
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "settings.html")]
struct SettingsPage {
    layout: Layout,
    collection: CollectionRow,
    settings: SettingsRow,
    accounts: Vec<AccountCard>,
    checks: Vec<RegistryCheck>,
    members: Vec<Member>,
    webhook_url: String,
    said: Said,
}

/// An account, with the image that its check begins with.
struct AccountCard {
    account: Credential,
    image: String,
}

/// What the page answers to the form that was sent.
#[derive(Default)]
pub(super) struct Said {
    /// A webhook's secret, shown once.
    pub(super) secret: Option<String>,
    /// Why the account is not kept.
    pub(super) account_refused: Option<String>,
    /// The account that was not kept, to be mended. Its password is not sent back.
    pub(super) registry: String,
    pub(super) username: String,
    /// Why nobody got a role.
    pub(super) member_refused: Option<String>,
    /// Why the image is not checked.
    pub(super) check_refused: Option<String>,
}

async fn show(
    Named(name): Named,
    State(hub): State<Hub>,
    visit: Visit,
) -> Result<SettingsPage, Error> {
    page(&hub, &visit, &name, Said::default()).await
}

async fn page(
    hub: &Hub,
    visit: &Visit,
    name: &CollectionName,
    said: Said,
) -> Result<SettingsPage, Error> {
    let collection = collection::find(hub, name).await?;
    let checks = checks::list(hub, collection.id).await?;
    let registries = crate::credentials(hub, name).await?.into_iter();
    Ok(SettingsPage {
        layout: Layout::new(visit, "home"),
        settings: views::settings(&hub.db, collection.id).await?,
        accounts: registries
            .map(|account| AccountCard {
                image: image_at(&account.registry, &checks),
                account,
            })
            .collect(),
        checks,
        members: accounts::members_of(hub, name).await?,
        webhook_url: super::url(hub, &format!("/webhooks/{}", collection.forge)),
        collection,
        said,
    })
}

/// What was last checked at a registry, or how an image there begins.
fn image_at(registry: &str, checks: &[RegistryCheck]) -> String {
    let is_there = |uri: &str| {
        let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
        rest.strip_prefix(registry)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    checks
        .iter()
        .find(|check| is_there(&check.uri))
        .map_or_else(
            || format!("docker://{registry}/"),
            |check| check.uri.clone(),
        )
}

#[derive(Deserialize)]
struct Change {
    mode: Mode,
    max_running: NonZeroU16,
    step_cache: Option<StepCache>,
}

async fn change(
    Named(name): Named,
    State(hub): State<Hub>,
    Form(form): Form<Change>,
) -> Result<Redirect, Error> {
    let change = CollectionChange {
        mode: Some(form.mode),
        max_running: Some(form.max_running),
        step_cache: form.step_cache,
        visibility: None,
    };
    crate::change_collection(&hub, &name, &change).await?;
    Ok(Redirect::to(&format!("/{name}/settings")))
}

async fn renew_secret(
    Named(name): Named,
    State(hub): State<Hub>,
    visit: Visit,
) -> Result<SettingsPage, Error> {
    let said = Said {
        secret: Some(crate::collections::renew_secret(&hub, &name).await?),
        ..Said::default()
    };
    page(&hub, &visit, &name, said).await
}

#[derive(Deserialize)]
struct Account {
    registry: String,
    username: String,
    password: Password,
}

async fn put_account(
    Named(name): Named,
    State(hub): State<Hub>,
    visit: Visit,
    Form(form): Form<Account>,
) -> Result<Response, Error> {
    let new = NewCredential {
        registry: form.registry,
        username: form.username.trim().to_owned(),
        password: form.password,
    };
    match crate::put_credential(&hub, &name, &new).await {
        Err(Error::Unprocessable(told)) => {
            let said = Said {
                account_refused: Some(told),
                registry: new.registry,
                username: new.username,
                ..Said::default()
            };
            refused(&hub, &visit, &name, said).await
        }
        put => put.map(|()| to_accounts(&name).into_response()),
    }
}

#[derive(Deserialize)]
struct Registry {
    registry: String,
}

async fn remove_account(
    Named(name): Named,
    State(hub): State<Hub>,
    Form(form): Form<Registry>,
) -> Result<Redirect, Error> {
    crate::remove_credential(&hub, &name, &form.registry).await?;
    Ok(to_accounts(&name))
}

fn to_accounts(name: &CollectionName) -> Redirect {
    Redirect::to(&format!("/{name}/settings#accounts"))
}

#[derive(Deserialize)]
struct Image {
    uri: String,
}

async fn ask_check(
    Named(name): Named,
    State(hub): State<Hub>,
    visit: Visit,
    Form(form): Form<Image>,
) -> Result<Response, Error> {
    match crate::ask_check(&hub, &name, &form.uri).await {
        Ok(check) => {
            let page = format!("/{name}/settings/checks/{}", check.id);
            Ok(Redirect::to(&page).into_response())
        }
        Err(Error::Unprocessable(told)) => {
            let said = Said {
                check_refused: Some(told),
                ..Said::default()
            };
            refused(&hub, &visit, &name, said).await
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn refused(
    hub: &Hub,
    visit: &Visit,
    name: &CollectionName,
    said: Said,
) -> Result<Response, Error> {
    let page = page(hub, visit, name, said).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}
