//! All accounts and teams, for administrators.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use cooperage_protocol::AccountName;
use cooperage_protocol::accounts::{Invitation, NewUser, Team, User, UserChange};
use serde::Deserialize;
use tower_http::set_header::SetResponseHeaderLayer;

use super::{Layout, format};
use crate::accounts;
use crate::db::{teams, users};
use crate::error::Error;
use crate::rights::Visit;
use crate::state::Hub;

const PAGE: &str = "/auth/users";

/// The routes of accounts and teams.
pub(super) fn router() -> Router<Hub> {
    let unkept = SetResponseHeaderLayer::overriding(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    Router::new()
        .route(PAGE, get(show).post(add))
        .route("/auth/users/change", post(change))
        .route("/auth/users/invite", post(invite))
        .route("/auth/teams", post(add_team))
        .route("/auth/teams/change", post(change_team))
        .layer(unkept)
}

#[derive(Template, WebTemplate)]
#[template(path = "users.html")]
struct UsersPage {
    layout: Layout,
    users: Vec<User>,
    teams: Vec<Team>,
    said: Said,
}

/// What the page answers to the form that was sent.
#[derive(Default)]
struct Said {
    /// A link, shown once.
    invitation: Option<Invitation>,
    /// Why nothing was changed.
    refusal: Option<String>,
}

async fn show(visit: Visit, State(hub): State<Hub>) -> Result<UsersPage, Error> {
    page(&hub, &visit, Said::default()).await
}

async fn page(hub: &Hub, visit: &Visit, said: Said) -> Result<UsersPage, Error> {
    Ok(UsersPage {
        layout: Layout::new(visit, "users"),
        users: users::list(&hub.db).await?,
        teams: teams::list(&hub.db).await?,
        said,
    })
}

#[derive(Deserialize)]
struct New {
    name: String,
    #[serde(default)]
    admin: Option<String>,
}

async fn add(
    visit: Visit,
    State(hub): State<Hub>,
    Form(form): Form<New>,
) -> Result<Response, Error> {
    let invited = match parse(&form.name) {
        Ok(name) => {
            let is_admin = form.admin.is_some();
            accounts::add_user(&hub, &NewUser { name, is_admin }).await
        }
        Err(error) => Err(error),
    };
    tell(&hub, &visit, invited).await
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

async fn invite(
    visit: Visit,
    State(hub): State<Hub>,
    Form(form): Form<Name>,
) -> Result<Response, Error> {
    let invited = accounts::invite(&hub, &parse(&form.name)?).await;
    tell(&hub, &visit, invited).await
}

/// Shows the link, or why there is none.
async fn tell(
    hub: &Hub,
    visit: &Visit,
    invited: Result<Invitation, Error>,
) -> Result<Response, Error> {
    match invited {
        Ok(invitation) => {
            let said = Said {
                invitation: Some(invitation),
                ..Said::default()
            };
            Ok(page(hub, visit, said).await?.into_response())
        }
        Err(error) => refused(hub, visit, error).await,
    }
}

#[derive(Deserialize)]
struct Change {
    name: String,
    what: What,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Promote,
    Demote,
    Disable,
    Enable,
}

async fn change(
    visit: Visit,
    State(hub): State<Hub>,
    Form(form): Form<Change>,
) -> Result<Response, Error> {
    let (is_admin, is_disabled) = match form.what {
        What::Promote => (Some(true), None),
        What::Demote => (Some(false), None),
        What::Disable => (None, Some(true)),
        What::Enable => (None, Some(false)),
    };
    let change = UserChange {
        is_admin,
        is_disabled,
    };
    match accounts::change_user(&hub, &parse(&form.name)?, &change).await {
        Ok(()) => Ok(Redirect::to(PAGE).into_response()),
        Err(error) => refused(&hub, &visit, error).await,
    }
}

async fn add_team(
    visit: Visit,
    State(hub): State<Hub>,
    Form(form): Form<Name>,
) -> Result<Response, Error> {
    let added = match parse(&form.name) {
        Ok(name) => accounts::add_team(&hub, &name).await,
        Err(error) => Err(error),
    };
    to_teams(&hub, &visit, added).await
}

#[derive(Deserialize)]
struct TeamChange {
    team: String,
    #[serde(default)]
    user: String,
    what: Step,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    Join,
    Leave,
    Remove,
}

async fn change_team(
    visit: Visit,
    State(hub): State<Hub>,
    Form(form): Form<TeamChange>,
) -> Result<Response, Error> {
    let team = parse(&form.team)?;
    let changed = match (form.what, parse(&form.user)) {
        (Step::Remove, _) => accounts::remove_team(&hub, &team).await,
        (Step::Join, Ok(user)) => accounts::join(&hub, &team, &user).await,
        (Step::Leave, Ok(user)) => accounts::leave(&hub, &team, &user).await,
        (_, Err(error)) => Err(error),
    };
    to_teams(&hub, &visit, changed).await
}

async fn to_teams(hub: &Hub, visit: &Visit, changed: Result<(), Error>) -> Result<Response, Error> {
    match changed {
        Ok(()) => Ok(Redirect::to("/auth/users#teams").into_response()),
        Err(error) => refused(hub, visit, error).await,
    }
}

async fn refused(hub: &Hub, visit: &Visit, error: Error) -> Result<Response, Error> {
    let (Error::Unprocessable(told) | Error::Conflict(told) | Error::NotFound(told)) = error else {
        return Err(error);
    };
    let said = Said {
        refusal: Some(told),
        ..Said::default()
    };
    let page = page(hub, visit, said).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

fn parse(name: &str) -> Result<AccountName, Error> {
    name.trim()
        .parse()
        .map_err(|error| Error::Unprocessable(format!("{error}")))
}
