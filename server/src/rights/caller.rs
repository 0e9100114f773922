//! Who asks, by what a request carries?
//!
//! Clients put a token where they can: `Authorization: Bearer`, `BEARER` as those of Singularity
//! do, or as the password of `Basic`, whatever the user name is. Browsers have a session's cookie.

use axum::http::{HeaderMap, header};
use axum_extra::extract::CookieJar;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cooperage_protocol::Scope;

use super::{Caller, Person, Proof, registry};
use crate::auth::{self, SESSION_COOKIE};
use crate::db::sessions;
use crate::db::tokens::{self, Token};
use crate::error::Error;
use crate::state::Hub;

/// Told of a token that does not exist, has expired or was revoked: which of them is nobody's
/// business.
const UNKNOWN_TOKEN: Error = Error::Unauthorized(
    "this token is not known here, has expired or was revoked; make one at /auth/tokens",
);

impl Caller {
    /// Who sent a request with these headers. A session that is over is nobody's; a token that is
    /// not good is refused, also where nobody needs one.
    pub(crate) async fn of(headers: &HeaderMap, hub: &Hub) -> Result<Self, Error> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(token_in);
            return by_token(hub, &token.ok_or(UNKNOWN_TOKEN)?).await;
        }
        let jar = CookieJar::from_headers(headers);
        match jar.get(SESSION_COOKIE) {
            Some(cookie) => by_session(hub, cookie.value()).await,
            None => Ok(Self::Anonymous),
        }
    }
}

/// The token in the value of an `Authorization` header.
fn token_in(value: &str) -> Option<String> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let account = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (_, password) = account.split_once(':')?;
    Some(password.to_owned())
}

async fn by_token(hub: &Hub, token: &str) -> Result<Caller, Error> {
    if let Some(caller) = registry::read(hub, token).await? {
        return Ok(caller);
    }
    let found = tokens::find(&hub.db, &auth::hash_token(token)).await?;
    found
        .map(|token| Caller::Person(person_of(token)))
        .ok_or(UNKNOWN_TOKEN)
}

/// Whom a token speaks for.
pub(super) fn person_of(token: Token) -> Person {
    Person {
        id: token.user,
        name: token.user_name,
        is_admin: token.is_admin,
        scopes: token.scopes,
        by: Proof::Token(token.id),
    }
}

async fn by_session(hub: &Hub, cookie: &str) -> Result<Caller, Error> {
    let found = sessions::find(&hub.db, &auth::hash_token(cookie)).await?;
    Ok(found.map_or(Caller::Anonymous, |session| {
        Caller::Person(Person {
            id: session.user,
            name: session.user_name,
            is_admin: session.is_admin,
            scopes: vec![Scope::Admin],
            by: Proof::Session(session.id),
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_wherever_a_client_puts_it() {
        let basic = format!("Basic {}", STANDARD.encode("anybody:secret:1"));
        for (value, token) in [
            ("Bearer secret", Some("secret")),
            ("BEARER secret", Some("secret")),
            ("bearer  secret ", Some("secret")),
            (&basic, Some("secret:1")),
            ("Basic secret", None),
            ("Digest secret", None),
            ("secret", None),
        ] {
            assert_eq!(token_in(value).as_deref(), token, "{value}");
        }
    }
}
