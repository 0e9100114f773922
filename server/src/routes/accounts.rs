//! The calls about accounts, teams and members.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use cooperage_protocol::accounts::{
    Account, AddedToken, Identity, Invitation, Link, Member, NewLink, NewTeam, NewToken, NewUser,
    Session, Team, Token, User, UserChange, Who,
};
use cooperage_protocol::admin::Problem;
use cooperage_protocol::{AccountName, IdentityId, SessionId, TokenId};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{Body, InCollection};
use super::download;
use crate::db::{teams, tokens, users};
use crate::error::Error;
use crate::rights::{Visit, link};
use crate::state::Hub;
use crate::{accounts, sign_in};

/// The routes about accounts.
pub(super) fn router() -> OpenApiRouter<Hub> {
    let unkept = SetResponseHeaderLayer::overriding(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    OpenApiRouter::new()
        .routes(routes!(account))
        .routes(routes!(list_tokens, add_token))
        .routes(routes!(revoke_token))
        .routes(routes!(list_sessions))
        .routes(routes!(end_session))
        .routes(routes!(list_identities))
        .routes(routes!(unlink))
        .routes(routes!(list_users, add_user))
        .routes(routes!(change_user))
        .routes(routes!(invite))
        .routes(routes!(list_teams, add_team))
        .routes(routes!(remove_team))
        .routes(routes!(join, leave))
        .routes(routes!(list_members, put_member))
        .routes(routes!(remove_member))
        .routes(routes!(add_link))
        .layer(unkept)
}

/// Shows the account that calls, and what its session or token is good for.
#[utoipa::path(
    get,
    path = "/api/account",
    tag = "account",
    responses((status = 200, body = Account)),
)]
async fn account(visit: Visit) -> Result<Json<Account>, Error> {
    let person = visit.person()?;
    Ok(Json(Account {
        name: person.name.clone(),
        is_admin: person.is_admin,
        scopes: person.scopes.clone(),
    }))
}

/// Lists the tokens of the account.
#[utoipa::path(
    get,
    path = "/api/tokens",
    tag = "account",
    responses((status = 200, body = Vec<Token>)),
)]
async fn list_tokens(visit: Visit, State(hub): State<Hub>) -> Result<Json<Vec<Token>>, Error> {
    Ok(Json(tokens::list(&hub.db, visit.person()?.id).await?))
}

/// Makes a token, which is shown once.
#[utoipa::path(
    post,
    path = "/api/tokens",
    tag = "account",
    request_body = NewToken,
    responses((status = 201, body = AddedToken), (status = 422, body = Problem, description = "the token would be of no use")),
)]
async fn add_token(
    visit: Visit,
    State(hub): State<Hub>,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<AddedToken>), Error> {
    let added = accounts::add_token(&hub, visit.person()?, &new).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

/// Revokes a token.
#[utoipa::path(
    delete,
    path = "/api/tokens/{id}",
    tag = "account",
    params(("id" = TokenId, Path, description = "The token's id.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
async fn revoke_token(
    visit: Visit,
    State(hub): State<Hub>,
    Path(id): Path<TokenId>,
) -> Result<StatusCode, Error> {
    accounts::revoke_token(&hub, visit.person()?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the logins of the account.
#[utoipa::path(
    get,
    path = "/api/sessions",
    tag = "account",
    responses((status = 200, body = Vec<Session>)),
)]
async fn list_sessions(visit: Visit, State(hub): State<Hub>) -> Result<Json<Vec<Session>>, Error> {
    Ok(Json(accounts::sessions_of(&hub, visit.person()?).await?))
}

/// Ends a login.
#[utoipa::path(
    delete,
    path = "/api/sessions/{id}",
    tag = "account",
    params(("id" = SessionId, Path, description = "The login's id.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
async fn end_session(
    visit: Visit,
    State(hub): State<Hub>,
    Path(id): Path<SessionId>,
) -> Result<StatusCode, Error> {
    accounts::end_session(&hub, visit.person()?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the accounts at providers that one signs in with.
#[utoipa::path(
    get,
    path = "/api/identities",
    tag = "account",
    responses((status = 200, body = Vec<Identity>)),
)]
async fn list_identities(
    visit: Visit,
    State(hub): State<Hub>,
) -> Result<Json<Vec<Identity>>, Error> {
    Ok(Json(sign_in::list(&hub, visit.person()?).await?))
}

/// Unlinks an account at a provider.
#[utoipa::path(
    delete,
    path = "/api/identities/{id}",
    tag = "account",
    params(("id" = IdentityId, Path, description = "The linked account's id.")),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem, description = "the last way into the account stays")),
)]
async fn unlink(
    visit: Visit,
    State(hub): State<Hub>,
    Path(id): Path<IdentityId>,
) -> Result<StatusCode, Error> {
    sign_in::unlink(&hub, visit.person()?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists all accounts.
#[utoipa::path(
    get,
    path = "/api/users",
    tag = "people",
    responses((status = 200, body = Vec<User>)),
)]
async fn list_users(State(hub): State<Hub>) -> Result<Json<Vec<User>>, Error> {
    Ok(Json(users::list(&hub.db).await?))
}

/// Makes an account, and a link that sets its password once.
#[utoipa::path(
    post,
    path = "/api/users",
    tag = "people",
    request_body = NewUser,
    responses((status = 201, body = Invitation), (status = 409, body = Problem, description = "the name is taken"), (status = 422, body = Problem)),
)]
async fn add_user(
    State(hub): State<Hub>,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Json<Invitation>), Error> {
    let invitation = accounts::add_user(&hub, &new).await?;
    Ok((StatusCode::CREATED, Json(invitation)))
}

/// Changes an account; what is absent stays as it is.
#[utoipa::path(
    patch,
    path = "/api/users/{name}",
    tag = "people",
    params(("name" = AccountName, Path, description = "The account.")),
    request_body = UserChange,
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem, description = "the last administrator stays"), (status = 422, body = Problem)),
)]
async fn change_user(
    State(hub): State<Hub>,
    Path(name): Path<String>,
    Body(change): Body<UserChange>,
) -> Result<StatusCode, Error> {
    accounts::change_user(&hub, &parse(&name)?, &change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes another link that sets the password of an account once.
#[utoipa::path(
    post,
    path = "/api/users/{name}/invitation",
    tag = "people",
    params(("name" = AccountName, Path, description = "The account.")),
    responses((status = 201, body = Invitation), (status = 404, body = Problem), (status = 409, body = Problem)),
)]
async fn invite(
    State(hub): State<Hub>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Invitation>), Error> {
    let invitation = accounts::invite(&hub, &parse(&name)?).await?;
    Ok((StatusCode::CREATED, Json(invitation)))
}

/// Lists all teams.
#[utoipa::path(
    get,
    path = "/api/teams",
    tag = "people",
    responses((status = 200, body = Vec<Team>)),
)]
async fn list_teams(State(hub): State<Hub>) -> Result<Json<Vec<Team>>, Error> {
    Ok(Json(teams::list(&hub.db).await?))
}

/// Makes a team.
#[utoipa::path(
    post,
    path = "/api/teams",
    tag = "people",
    request_body = NewTeam,
    responses((status = 201), (status = 409, body = Problem, description = "the name is taken")),
)]
async fn add_team(State(hub): State<Hub>, Body(new): Body<NewTeam>) -> Result<StatusCode, Error> {
    accounts::add_team(&hub, &new.name).await?;
    Ok(StatusCode::CREATED)
}

/// Ends a team, and the roles that it has.
#[utoipa::path(
    delete,
    path = "/api/teams/{name}",
    tag = "people",
    params(("name" = AccountName, Path, description = "The team.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
async fn remove_team(
    State(hub): State<Hub>,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    accounts::remove_team(&hub, &parse(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts an account into a team.
#[utoipa::path(
    put,
    path = "/api/teams/{name}/members/{user}",
    tag = "people",
    params(("name" = AccountName, Path, description = "The team."), ("user" = AccountName, Path, description = "The account.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
async fn join(
    State(hub): State<Hub>,
    Path((team, user)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    accounts::join(&hub, &parse(&team)?, &parse(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes an account out of a team.
#[utoipa::path(
    delete,
    path = "/api/teams/{name}/members/{user}",
    tag = "people",
    params(("name" = AccountName, Path, description = "The team."), ("user" = AccountName, Path, description = "The account.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
async fn leave(
    State(hub): State<Hub>,
    Path((team, user)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    accounts::leave(&hub, &parse(&team)?, &parse(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a link to a file, for somebody without an account; its maker has one.
#[utoipa::path(
    post,
    path = "/api/collections/{owner}/{repository}/links",
    tag = "collections",
    params(InCollection),
    request_body = NewLink,
    responses((status = 201, body = Link), (status = 422, body = Problem, description = "there can be no such link")),
)]
async fn add_link(
    visit: Visit,
    State(hub): State<Hub>,
    Body(new): Body<NewLink>,
) -> Result<(StatusCode, Json<Link>), Error> {
    Ok((StatusCode::CREATED, Json(link::make(&hub, &visit, &new)?)))
}

/// Lists who has a role in a collection.
#[utoipa::path(
    get,
    path = "/api/collections/{owner}/{repository}/members",
    tag = "collections",
    params(InCollection),
    responses((status = 200, body = Vec<Member>)),
)]
async fn list_members(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
) -> Result<Json<Vec<Member>>, Error> {
    let name = of.name()?;
    Ok(Json(accounts::members_of(&hub, &name).await?))
}

/// Gives somebody a role in a collection, in place of the one before.
#[utoipa::path(
    put,
    path = "/api/collections/{owner}/{repository}/members",
    tag = "collections",
    params(InCollection),
    request_body = Member,
    responses((status = 204), (status = 409, body = Problem), (status = 422, body = Problem, description = "there is no such account or team")),
)]
async fn put_member(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
    Body(member): Body<Member>,
) -> Result<StatusCode, Error> {
    let name = of.name()?;
    accounts::put_member(&hub, &name, &member).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes somebody's role in a collection away.
#[utoipa::path(
    delete,
    path = "/api/collections/{owner}/{repository}/members/{kind}/{name}",
    tag = "collections",
    params(InCollection, ("kind" = String, Path, description = "`user` or `team`.", pattern = "^(user|team)$"), ("name" = AccountName, Path, description = "The account or team.")),
    responses((status = 204)),
)]
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
