//! How does somebody sign in with a provider? The browser is sent there, comes back with a code,
//! and for the code the provider tells the hub who they are.
//!
//! # Security
//!
//! An account is found by issuer and subject alone, never by a name or an address: those can be
//! chosen. Only its owner, who is logged in or has its invitation, links it. What comes back must
//! come back once, within ten minutes, to the browser that was sent.

mod fetch;
mod github;
mod id_token;
mod identities;
mod names;
mod oidc;
mod provider;
pub(crate) mod settings;
#[cfg(test)]
mod tests;

use cooperage_protocol::UserId;
use cooperage_protocol::accounts::NewUser;
use serde::Deserialize;

pub(crate) use identities::{list, unlink};
use provider::{Ask, Known, NoProof};
pub(crate) use provider::{Provider, Providers, check_secrets};
use settings::Newcomers;

use crate::auth::{hash_token, make_token};
use crate::db::identities::{Identity, insert as insert_identity};
use crate::db::sign_ins::{self, Hashes, Row};
use crate::db::{invitations, sessions, users};
use crate::error::Error;
use crate::rights::Person;
use crate::state::Hub;

/// What somebody signs in for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// To come in.
    LogIn,
    /// To link their account.
    Link(UserId),
    /// To take an invitation, of which this is the code.
    Invitation(String),
}

/// A sign-in that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Where the browser goes.
    pub(crate) url: String,
    /// What it shows when it comes back.
    pub(crate) browser: String,
}

/// What the provider sent along with the browser that came back.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// A sign-in that succeeded.
#[derive(Debug)]
pub(crate) struct Done {
    /// Whose account it is.
    pub(crate) user: UserId,
    /// Whether the browser was logged in to it before.
    pub(crate) is_linked: bool,
    /// The page to go on with.
    pub(crate) next: String,
}

/// Begins a sign-in with a provider.
pub(crate) async fn begin(
    hub: &Hub,
    provider: &Provider,
    purpose: Purpose,
    next: &str,
    address: &str,
) -> Result<Begun, Error> {
    let (state, browser) = (make_token(), make_token());
    let (user, invitation) = match purpose {
        Purpose::LogIn => (None, None),
        Purpose::Link(user) => (Some(user), None),
        Purpose::Invitation(code) => (None, Some(hash_token(code.trim()).to_vec())),
    };
    let row = Row {
        provider: provider.id().to_owned(),
        nonce: make_token(),
        verifier: make_token(),
        next: next.to_owned(),
        user,
        invitation_hash: invitation,
    };
    let ask = Ask::new(hub, &row, &state);
    let url = provider.address(&ask).await;
    let url = url.map_err(|error| error.tell(provider))?;
    let hashes = Hashes {
        state: hash_token(&state),
        browser: hash_token(&browser),
    };
    sign_ins::insert(&hub.db, &row, hashes, address).await?;
    Ok(Begun {
        url: url.into(),
        browser,
    })
}

/// Ends a sign-in: the browser came back with an answer. Whoever is logged in there is `person`.
pub(crate) async fn finish(
    hub: &Hub,
    provider: &Provider,
    answer: &Answer,
    browser: &str,
    person: Option<&Person>,
) -> Result<Done, Error> {
    let hashes = Hashes {
        state: hash_token(answer.state.as_deref().unwrap_or_default()),
        browser: hash_token(browser),
    };
    let row = sign_ins::take(&hub.db, provider.id(), hashes).await?;
    let row = row.ok_or_else(|| {
        Error::Unprocessable(
            "this sign-in was not begun in this browser, is finished already, or took longer than \
             ten minutes; begin it again"
                .to_owned(),
        )
    })?;
    let code = code_of(provider, answer)?;
    let ask = Ask::new(hub, &row, "");
    let known = provider.identify(&ask, answer, code).await;
    let known = known.map_err(|error| error.tell(provider))?;
    provider.check_admission(&known)?;
    let identity = Identity {
        issuer: provider.issuer(),
        subject: &known.subject,
        label: &known.name,
    };
    let user = match (&row.user, &row.invitation_hash) {
        (Some(user), _) => link(hub, *user, person, identity).await?,
        (None, Some(hash)) => take_invitation(hub, hash, identity).await?,
        (None, None) => come_in(hub, provider, identity).await?,
    };
    Ok(Done {
        user,
        is_linked: row.user.is_some(),
        next: row.next,
    })
}

fn code_of<'a>(provider: &Provider, answer: &'a Answer) -> Result<&'a str, Error> {
    let name = provider.name();
    if let Some(error) = &answer.error {
        tracing::info!(provider = provider.id(), error, "a sign-in was refused");
        return Err(Error::Unprocessable(format!(
            "{name} did not sign you in, or you did not let it"
        )));
    }
    let code = answer.code.as_deref();
    code.ok_or_else(|| Error::Unprocessable(format!("{name} sent you back without a code")))
}

/// The account of an identity, or a new one.
async fn come_in(hub: &Hub, provider: &Provider, identity: Identity<'_>) -> Result<UserId, Error> {
    let mut tx = hub.db.begin().await?;
    if let Some(linked) = crate::db::identities::find(&mut tx, identity).await? {
        if linked.is_disabled {
            return Err(Error::Forbidden("your account here is disabled"));
        }
        tx.commit().await?;
        return Ok(linked.user);
    }
    if provider.newcomers() == Newcomers::Refuse {
        return Err(Error::Forbidden(
            "you have no account here that is linked to this one: log in by your password and link \
             it at Account, or ask an administrator for an invitation",
        ));
    }
    for name in names::candidates(identity.label) {
        let new = NewUser {
            name,
            is_admin: false,
        };
        let Some(user) = users::insert(&mut *tx, &new).await? else {
            continue;
        };
        if !insert_identity(&mut tx, user, identity).await? {
            return Err(Error::Conflict(
                "you signed in twice at once; try again".to_owned(),
            ));
        }
        tx.commit().await?;
        tracing::info!(
            "made the account {} for somebody of {}",
            new.name,
            identity.issuer
        );
        return Ok(user);
    }
    Err(Error::Conflict(format!(
        "all names like {:?} are taken",
        identity.label
    )))
}

/// # Security
///
/// Whoever is logged in now has to be the one who asked for it: the browser may be another's by now.
async fn link(
    hub: &Hub,
    user: UserId,
    person: Option<&Person>,
    identity: Identity<'_>,
) -> Result<UserId, Error> {
    if person.map(|person| person.id) != Some(user) {
        return Err(Error::Forbidden(
            "you are not logged in any more to the account that was to be linked",
        ));
    }
    let mut tx = hub.db.begin().await?;
    if !insert_identity(&mut tx, user, identity).await? {
        let owner = crate::db::identities::find(&mut tx, identity).await?;
        if owner.map(|owner| owner.user) != Some(user) {
            return Err(Error::Conflict(format!(
                "{:?} is linked to another account here",
                identity.label
            )));
        }
    }
    tx.commit().await?;
    tracing::info!(user.id = %user, "linked an account to one of {}", identity.issuer);
    Ok(user)
}

async fn take_invitation(hub: &Hub, hash: &[u8], identity: Identity<'_>) -> Result<UserId, Error> {
    let mut tx = hub.db.begin().await?;
    let user = invitations::take(&mut tx, hash).await?;
    let user = user.ok_or_else(crate::accounts::no_invitation)?;
    if !insert_identity(&mut tx, user, identity).await? {
        return Err(Error::Conflict(format!(
            "{:?} has an account here already; log in with it",
            identity.label
        )));
    }
    tx.commit().await?;
    sessions::delete_others(&hub.db, user, None).await?;
    tracing::info!(user.id = %user, "an invitation was taken by somebody of {}", identity.issuer);
    Ok(user)
}
