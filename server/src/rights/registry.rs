//! The tokens of the registry protocol: given for an API token, good for minutes.
//!
//! They hold no rights of their own. What counts is the API token behind them, as it is when they
//! are used: revoking it ends them at once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use cooperage_protocol::{Scope, TokenId};
use serde::{Deserialize, Serialize};

use super::caller::person_of;
use super::signed::{self, Purpose};
use super::{Caller, Proof, Visit};
use crate::db::tokens;
use crate::error::Error;
use crate::state::Hub;

/// How long they are good, in seconds.
pub(crate) const SECONDS: i64 = 300;

const PREFIX: &str = "registry.";

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    /// The API token that it stands for; nobody's when absent.
    token: Option<TokenId>,
    /// Whether it was asked for to push.
    push: bool,
    /// When it ends, in seconds since 1970.
    until: i64,
}

/// A token for whoever asks, for the scopes `repository:NAME:ACTIONS` that they name.
pub(crate) fn issue(hub: &Hub, visit: &Visit, scopes: &[String]) -> Result<String, Error> {
    let token = visit.caller.person().and_then(|person| match person.by {
        Proof::Token(token) => Some(token),
        Proof::Session(_) | Proof::Link => None,
    });
    let claims = Claims {
        token,
        push: scopes.iter().any(|scope| asks_to_push(scope)),
        until: Utc::now().timestamp() + SECONDS,
    };
    let json = serde_json::to_vec(&claims).map_err(anyhow::Error::from)?;
    let text = URL_SAFE_NO_PAD.encode(json);
    let signature = signed::sign(hub, Purpose::RegistryToken, &text)?;
    Ok(format!("{PREFIX}{text}.{signature}"))
}

fn asks_to_push(scope: &str) -> bool {
    let actions = scope.rsplit(':').next().unwrap_or_default();
    actions
        .split(',')
        .any(|action| ["push", "delete", "*"].contains(&action))
}

/// Who is behind a token of the registry protocol; nothing when it is another kind of token.
pub(super) async fn read(hub: &Hub, token: &str) -> Result<Option<Caller>, Error> {
    let Some(claims) = claims(hub, token)? else {
        return Ok(None);
    };
    let Some(id) = claims.token else {
        return Ok(Some(Caller::Anonymous));
    };
    let Some(token) = tokens::find_by_id(&hub.db, id).await? else {
        return Ok(None);
    };
    let mut person = person_of(token);
    if !claims.push {
        person.scopes = vec![Scope::Read];
    }
    Ok(Some(Caller::Person(person)))
}

fn claims(hub: &Hub, token: &str) -> Result<Option<Claims>, Error> {
    let parts = token
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('.'));
    let Some((text, signature)) = parts else {
        return Ok(None);
    };
    if !signed::is_signed(hub, Purpose::RegistryToken, text, signature)? {
        return Ok(None);
    }
    let json = URL_SAFE_NO_PAD.decode(text).map_err(anyhow::Error::from)?;
    let claims: Claims = serde_json::from_slice(&json).map_err(anyhow::Error::from)?;
    Ok(Some(claims).filter(|claims| claims.until > Utc::now().timestamp()))
}
