//! How the challenge of a registry becomes the value of `Authorization`.
//!
//! # Security
//! The realm is a host that a stranger's registry chooses, as the token specification allows. It
//! gets the password over https, or over plain http where the registry is spoken to so too.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::accounts::{Account, Secret};
use super::challenge::Challenge;
use super::endpoint::authority;

const MOST_TOKEN: u64 = 1 << 20;
const CLIENT_ID: &str = "cooperage";

/// One attempt to log in for one repository.
pub(super) struct Login<'a> {
    pub(super) http: &'a reqwest::blocking::Client,
    /// Where the challenge came from.
    pub(super) base: &'a Url,
    pub(super) repository: &'a str,
    pub(super) account: Option<&'a Account>,
}

/// Why there is no authorization.
pub(super) enum LoginError {
    /// A password is wanted, and there is none.
    NoAccount,
    /// The realm is no address that a password may be sent to.
    UnsafeRealm(String),
    /// The token server did not answer.
    Transport { host: String, error: reqwest::Error },
    /// The token server refused.
    Refused {
        host: String,
        response: Box<Response>,
    },
    /// The token server's answer holds no token.
    NoToken { host: String },
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
}

impl Login<'_> {
    /// Does once what a challenge asks for.
    pub(super) fn authorization(&self, challenge: &Challenge) -> Result<HeaderValue, LoginError> {
        match challenge {
            Challenge::Basic { .. } => {
                let account = self.account.ok_or(LoginError::NoAccount)?;
                let value = account.basic().ok_or(LoginError::NoAccount)?;
                let host = authority(self.base);
                sensitive(&value).ok_or(LoginError::NoToken { host })
            }
            Challenge::Bearer { realm, .. } => {
                let realm = self.safe_realm(realm)?;
                let host = authority(&realm);
                let token = self.token(realm, challenge)?;
                let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
                sensitive(&value).ok_or(LoginError::NoToken { host })
            }
        }
    }

    /// What a token is asked for: `repository:NAME:pull` unless the registry said otherwise.
    pub(super) fn scope(&self, asked: Option<&str>) -> String {
        asked.map_or_else(
            || format!("repository:{}:pull", self.repository),
            str::to_owned,
        )
    }

    fn token(&self, realm: Url, challenge: &Challenge) -> Result<SecretString, LoginError> {
        let host = authority(&realm);
        let response = match self.request(realm, challenge).send() {
            Ok(response) if response.status().is_success() => response,
            Ok(response) => {
                let response = Box::new(response);
                return Err(LoginError::Refused { host, response });
            }
            Err(error) => return Err(LoginError::Transport { host, error }),
        };
        let mut body = Vec::new();
        let read = response.take(MOST_TOKEN).read_to_end(&mut body);
        let answer = read
            .ok()
            .and_then(|_| serde_json::from_slice::<TokenAnswer>(&body).ok());
        let token = answer.and_then(|answer| answer.access_token.or(answer.token));
        token
            .filter(|token| !token.expose_secret().is_empty())
            .ok_or(LoginError::NoToken { host })
    }

    /// A token that stands for a login is exchanged by `OAuth2`; for the rest there is a GET.
    ///
    /// See <https://distribution.github.io/distribution/spec/auth/oauth/>.
    fn request(&self, mut realm: Url, challenge: &Challenge) -> RequestBuilder {
        let (service, scope) = match challenge {
            Challenge::Bearer { service, scope, .. } => (service.as_deref(), scope.as_deref()),
            Challenge::Basic { .. } => (None, None),
        };
        let scope = self.scope(scope);
        if let Some(Secret::IdentityToken(token)) = self.account.map(|account| &account.secret) {
            let form = [
                ("grant_type", "refresh_token"),
                ("service", service.unwrap_or_default()),
                ("scope", &scope),
                ("client_id", CLIENT_ID),
                ("refresh_token", token.expose_secret()),
            ];
            return self.http.post(realm).form(&form);
        }
        realm
            .query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .append_pair("scope", &scope);
        let request = self.http.get(realm);
        let basic = self.account.and_then(Account::basic);
        match basic.and_then(|value| sensitive(&value)) {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        }
    }

    fn safe_realm(&self, realm: &str) -> Result<Url, LoginError> {
        let url = self.base.join(realm).ok();
        let is_safe = |url: &Url| {
            url.scheme() == "https" || url.scheme() == "http" && self.base.scheme() == "http"
        };
        url.filter(is_safe)
            .ok_or_else(|| LoginError::UnsafeRealm(realm.to_owned()))
    }
}

impl LoginError {
    /// The status of the token server's refusal.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { response, .. } => Some(response.status()),
            _ => None,
        }
    }
}

impl Account {
    fn basic(&self) -> Option<SecretString> {
        let Secret::Password(password) = &self.secret else {
            return None;
        };
        let pair = format!("{}:{}", self.username, password.expose_secret());
        Some(format!("Basic {}", STANDARD.encode(pair)).into())
    }
}

fn sensitive(value: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value.expose_secret()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
