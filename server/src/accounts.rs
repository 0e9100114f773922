//! What can be done about accounts, their tokens, teams, and members of collections?

use cooperage_protocol::accounts::{
    AddedToken, Invitation, Member, NewToken, NewUser, Session, UserChange, Who,
};
use cooperage_protocol::{AccountName, CollectionName, Password, SessionId, TokenId, UserId};

use crate::db::{invitations, members, sessions, teams, tokens, users};
use crate::error::Error;
use crate::rights::{Person, Proof};
use crate::state::Hub;
use crate::{auth, collections, passwords};

const INVITED_DAYS: i32 = 7;
const LONGEST_LABEL: usize = 64;
const MOST_DAYS: u16 = 3650;

/// What Apptainer takes for no token at all.
const SHORTEST_TOKEN: usize = 200;

/// What programs that look for leaked secrets find our tokens by.
const TOKEN_PREFIX: &str = "cooperage_";

/// Makes an account, and the link that its owner sets a password with.
pub(crate) async fn add_user(hub: &Hub, new: &NewUser) -> Result<Invitation, Error> {
    if users::insert(&hub.db, new).await?.is_none() {
        return Err(Error::Conflict(format!(
            "there is an account {} already",
            new.name
        )));
    }
    tracing::info!("made the account {}", new.name);
    invite(hub, &new.name).await
}

/// Makes a link that sets the password of an account, once. The password before stays good until
/// then.
pub(crate) async fn invite(hub: &Hub, name: &AccountName) -> Result<Invitation, Error> {
    let account = users::find(&hub.db, name.as_str()).await?;
    let account = account.ok_or_else(|| no_account(name))?;
    let code = auth::make_token();
    let hash = auth::hash_token(&code);
    let expires_at = invitations::put(&hub.db, account.id, &hash, INVITED_DAYS).await?;
    Ok(Invitation {
        name: name.to_string(),
        url: hub.config.url(&format!("/auth/invitation#{code}")),
        expires_at,
    })
}

/// Takes an invitation: sets the password, and ends all sessions there were.
pub(crate) async fn take_invitation(
    hub: &Hub,
    code: &str,
    password: Password,
) -> Result<UserId, Error> {
    passwords::check(&password)?;
    let hash = passwords::hash(password).await?;
    let mut tx = hub.db.begin().await?;
    let user = invitations::take(&mut tx, &auth::hash_token(code.trim())).await?;
    let user = user.ok_or_else(no_invitation)?;
    users::set_password(&mut tx, user, &hash).await?;
    tx.commit().await?;
    sessions::delete_others(&hub.db, user, None).await?;
    tracing::info!(user.id = %user, "an account has a new password");
    Ok(user)
}

/// Why a code invites nobody.
pub(crate) fn no_invitation() -> Error {
    Error::Unprocessable(
        "this link was used, has expired, or was replaced by another; ask an administrator for a \
         new one"
            .to_owned(),
    )
}

/// Changes an account; one that is disabled is shut out at once.
pub(crate) async fn change_user(
    hub: &Hub,
    name: &AccountName,
    change: &UserChange,
) -> Result<(), Error> {
    let mut tx = hub.db.begin().await?;
    let user = users::change(&mut tx, name, change).await?;
    let user = user.ok_or_else(|| no_account(name))?;
    if !users::is_run(&mut tx).await? {
        return Err(Error::Conflict(format!(
            "{name} is the only administrator: make another one first"
        )));
    }
    tx.commit().await?;
    if change.is_disabled == Some(true) {
        sessions::delete_others(&hub.db, user, None).await?;
    }
    Ok(())
}

/// Changes the caller's own password, and ends all their other sessions. Who signs in with a
/// provider and has none may set one.
pub(crate) async fn change_password(
    hub: &Hub,
    person: &Person,
    old: Password,
    new: Password,
) -> Result<(), Error> {
    passwords::check(&new)?;
    let stored = users::password_hash(&hub.db, person.id).await?;
    let is_first = stored.is_none() && this_session(person).is_some();
    if !is_first && !passwords::verify(stored, old).await? {
        return Err(Error::Unprocessable("the present password is wrong".into()));
    }
    let hash = passwords::hash(new).await?;
    let mut db = hub.db.acquire().await?;
    users::set_password(&mut db, person.id, &hash).await?;
    sessions::delete_others(&hub.db, person.id, this_session(person)).await?;
    Ok(())
}

/// Makes a token of the caller, which is shown once.
///
/// # Security
///
/// Only the caller's own scopes are given on, so that no token makes a stronger one.
pub(crate) async fn add_token(
    hub: &Hub,
    person: &Person,
    new: &NewToken,
) -> Result<AddedToken, Error> {
    let name = new.name.trim();
    let refused = |told: String| Err(Error::Unprocessable(told));
    if name.is_empty() || name.chars().count() > LONGEST_LABEL || name.chars().any(char::is_control)
    {
        return refused(format!(
            "a token's name has 1 to {LONGEST_LABEL} characters"
        ));
    }
    if new.scopes.is_empty() {
        return refused("a token needs a scope: read, push, build or admin".to_owned());
    }
    if let Some(scope) = new.scopes.iter().find(|scope| !person.has(**scope)) {
        return refused(format!(
            "the token that asks does not have the scope {scope}"
        ));
    }
    if new.days.is_some_and(|days| days == 0 || days > MOST_DAYS) {
        return refused(format!("a token is good for 1 to {MOST_DAYS} days"));
    }
    let token = make_token();
    tokens::insert(&hub.db, person.id, &auth::hash_token(&token), new).await?;
    Ok(AddedToken { token })
}

/// A token that all clients take: `apptainer remote login --tokenfile` refuses short ones.
fn make_token() -> String {
    let mut token = TOKEN_PREFIX.to_owned();
    while token.len() <= SHORTEST_TOKEN {
        token.push_str(&auth::make_token());
    }
    token
}

/// Revokes a token of the caller.
pub(crate) async fn revoke_token(hub: &Hub, person: &Person, id: TokenId) -> Result<(), Error> {
    if tokens::delete(&hub.db, person.id, id).await? {
        return Ok(());
    }
    Err(Error::NotFound(format!("you have no token {id}")))
}

/// The sessions of the caller.
pub(crate) async fn sessions_of(hub: &Hub, person: &Person) -> Result<Vec<Session>, Error> {
    let this = this_session(person);
    let rows = sessions::list(&hub.db, person.id).await?;
    let sessions = rows.into_iter().map(|row| Session {
        id: row.id,
        address: row.address,
        agent: row.agent,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        is_this: this == Some(row.id),
    });
    Ok(sessions.collect())
}

/// Ends a session of the caller.
pub(crate) async fn end_session(hub: &Hub, person: &Person, id: SessionId) -> Result<(), Error> {
    if sessions::delete(&hub.db, person.id, id).await? {
        return Ok(());
    }
    Err(Error::NotFound(format!("you have no session {id}")))
}

/// Makes a team.
pub(crate) async fn add_team(hub: &Hub, name: &AccountName) -> Result<(), Error> {
    if teams::insert(&hub.db, name).await? {
        return Ok(());
    }
    Err(Error::Conflict(format!("there is a team {name} already")))
}

/// Ends a team; its accounts lose the roles they had by it.
pub(crate) async fn remove_team(hub: &Hub, name: &AccountName) -> Result<(), Error> {
    if teams::delete(&hub.db, name).await? {
        return Ok(());
    }
    Err(Error::NotFound(format!("there is no team {name}")))
}

/// Takes an account into a team.
pub(crate) async fn join(hub: &Hub, team: &AccountName, user: &AccountName) -> Result<(), Error> {
    if teams::join(&hub.db, team, user).await? {
        return Ok(());
    }
    Err(Error::NotFound(format!(
        "there is no team {team}, or no account {user}"
    )))
}

/// Takes an account out of a team.
pub(crate) async fn leave(hub: &Hub, team: &AccountName, user: &AccountName) -> Result<(), Error> {
    if teams::leave(&hub.db, team, user).await? {
        return Ok(());
    }
    Err(Error::NotFound(format!("{user} is not in the team {team}")))
}

/// The members of a collection.
pub(crate) async fn members_of(hub: &Hub, name: &CollectionName) -> Result<Vec<Member>, Error> {
    let collection = collections::find(hub, name).await?;
    Ok(members::list(&hub.db, collection.id).await?)
}

/// Gives somebody a role in a collection.
pub(crate) async fn put_member(
    hub: &Hub,
    name: &CollectionName,
    member: &Member,
) -> Result<(), Error> {
    let collection = collections::find(hub, name).await?;
    if members::put(&hub.db, collection.id, member).await? {
        return Ok(());
    }
    Err(Error::Unprocessable(format!("there is no {}", member.who)))
}

/// Takes somebody's role in a collection.
pub(crate) async fn remove_member(
    hub: &Hub,
    name: &CollectionName,
    who: &Who,
) -> Result<(), Error> {
    let collection = collections::find(hub, name).await?;
    if members::delete(&hub.db, collection.id, who).await? {
        return Ok(());
    }
    Err(Error::NotFound(format!("{who} has no role in {name}")))
}

fn this_session(person: &Person) -> Option<SessionId> {
    match person.by {
        Proof::Session(id) => Some(id),
        Proof::Token(_) | Proof::Link => None,
    }
}

fn no_account(name: &AccountName) -> Error {
    Error::NotFound(format!("there is no account {name}, or it is disabled"))
}
