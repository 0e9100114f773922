//! The calls about accounts; `cooperage_protocol::accounts` lists them.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::routing::{delete, get, patch, post, put};
use axum::{Json, Router};
use cooperage_protocol::accounts::{
    Account, AddedToken, Invitation, Link, Member, NewLink, NewTeam, NewToken, NewUser, Session,
    Team, Token, User, UserChange, Who,
};
use cooperage_protocol::{AccountName, SessionId, TokenId};
use tower_http::set_header::SetResponseHeaderLayer;

use super::admin::Body;
use super::download;
use crate::accounts;
use crate::db::{teams, tokens, users};
use crate::error::Error;
use crate::rights::{Visit, link};
use crate::state::Hub;

const MEMBERS: &str = "/api/collections/{owner}/{repository}/members";

/// The routes about accounts.
pub(super) fn router() -> Router<Hub> {
    let unkept = SetResponseHeaderLayer::overriding(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    Router::new()
        .route("/api/account", get(account))
        .route("/api/tokens", get(list_tokens).post(add_token))
        .route("/api/tokens/{id}", delete(revoke_token))
        .route("/api/sessions", get(list_sessions))
        .route("/api/sessions/{id}", delete(end_session))
        .route("/api/users", get(list_users).post(add_user))
        .route("/api/users/{name}", patch(change_user))
        .route("/api/users/{name}/invitation", post(invite))
        .route("/api/teams", get(list_teams).post(add_team))
        .route("/api/teams/{name}", delete(remove_team))
        .route("/api/teams/{name}/members/{user}", put(join).delete(leave))
        .route(MEMBERS, get(list_members).put(put_member))
        .route(
            &format!("{MEMBERS}/{{kind}}/{{name}}"),
            delete(remove_member),
        )
        .route(
            "/api/collections/{owner}/{repository}/links",
            post(add_link),
        )
        .layer(unkept)
}

async fn account(visit: Visit) -> Result<Json<Account>, Error> {
    let person = visit.person()?;
    Ok(Json(Account {
        name: person.name.clone(),
        is_admin: person.is_admin,
        scopes: person.scopes.clone(),
    }))
}

async fn list_tokens(visit: Visit, State(hub): State<Hub>) -> Result<Json<Vec<Token>>, Error> {
    Ok(Json(tokens::list(&hub.db, visit.person()?.id).await?))
}

async fn add_token(
    visit: Visit,
    State(hub): State<Hub>,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<AddedToken>), Error> {
    let added = accounts::add_token(&hub, visit.person()?, &new).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

async fn revoke_token(
    visit: Visit,
    State(hub): State<Hub>,
    Path(id): Path<TokenId>,
) -> Result<StatusCode, Error> {
    accounts::revoke_token(&hub, visit.person()?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_sessions(visit: Visit, State(hub): State<Hub>) -> Result<Json<Vec<Session>>, Error> {
    Ok(Json(accounts::sessions_of(&hub, visit.person()?).await?))
}

async fn end_session(
    visit: Visit,
    State(hub): State<Hub>,
    Path(id): Path<SessionId>,
) -> Result<StatusCode, Error> {
    accounts::end_session(&hub, visit.person()?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_users(State(hub): State<Hub>) -> Result<Json<Vec<User>>, Error> {
    Ok(Json(users::list(&hub.db).await?))
}

async fn add_user(
    State(hub): State<Hub>,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Json<Invitation>), Error> {
    let invitation = accounts::add_user(&hub, &new).await?;
    Ok((StatusCode::CREATED, Json(invitation)))
}

async fn change_user(
    State(hub): State<Hub>,
    Path(name): Path<String>,
    Body(change): Body<UserChange>,
) -> Result<StatusCode, Error> {
    accounts::change_user(&hub, &parse(&name)?, &change).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn invite(
    State(hub): State<Hub>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Invitation>), Error> {
    let invitation = accounts::invite(&hub, &parse(&name)?).await?;
    Ok((StatusCode::CREATED, Json(invitation)))
}

async fn list_teams(State(hub): State<Hub>) -> Result<Json<Vec<Team>>, Error> {
    Ok(Json(teams::list(&hub.db).await?))
}

async fn add_team(State(hub): State<Hub>, Body(new): Body<NewTeam>) -> Result<StatusCode, Error> {
    accounts::add_team(&hub, &new.name).await?;
    Ok(StatusCode::CREATED)
}

async fn remove_team(
    State(hub): State<Hub>,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    accounts::remove_team(&hub, &parse(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn join(
    State(hub): State<Hub>,
    Path((team, user)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    accounts::join(&hub, &parse(&team)?, &parse(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn leave(
    State(hub): State<Hub>,
    Path((team, user)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    accounts::leave(&hub, &parse(&team)?, &parse(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add_link(
    visit: Visit,
    State(hub): State<Hub>,
    Body(new): Body<NewLink>,
) -> Result<(StatusCode, Json<Link>), Error> {
    Ok((StatusCode::CREATED, Json(link::make(&hub, &visit, &new)?)))
}

async fn list_members(
    State(hub): State<Hub>,
    Path((owner, repository)): Path<(String, String)>,
) -> Result<Json<Vec<Member>>, Error> {
    let name = download::parse_collection(&owner, &repository)?;
    Ok(Json(accounts::members_of(&hub, &name).await?))
}

async fn put_member(
    State(hub): State<Hub>,
    Path((owner, repository)): Path<(String, String)>,
    Body(member): Body<Member>,
) -> Result<StatusCode, Error> {
    let name = download::parse_collection(&owner, &repository)?;
    accounts::put_member(&hub, &name, &member).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_member(
    State(hub): State<Hub>,
    Path((owner, repository, kind, member)): Path<(String, String, String, String)>,
) -> Result<StatusCode, Error> {
    let name = download::parse_collection(&owner, &repository)?;
    let who = Who::of(&kind, parse(&member)?);
    let who = who.ok_or_else(|| Error::NotFound(format!("{kind:?} is neither user nor team")))?;
    accounts::remove_member(&hub, &name, &who).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(name: &str) -> Result<AccountName, Error> {
    name.parse()
        .map_err(|error| Error::NotFound(format!("{error}")))
}
