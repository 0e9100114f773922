//! How one repository of a registry is asked: anonymously first, then as the registry's challenge
//! says, again when the network or the registry stumbles.
//!
//! # Security
//! Redirects and token realms are hosts that a stranger's registry chooses. The authorization goes
//! to the registry alone; a password goes to the registry and to the realm it names over https.

use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;

use super::accounts::Account;
use super::challenge::{self, Challenge};
use super::endpoint::{Endpoint, Role, authority};
use super::error::Question;
use crate::engine::Cancel;
use crate::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// For the head of an answer, and for every piece of its body.
const TIMEOUT: Duration = Duration::from_mins(1);
const MOST_REDIRECTS: usize = 5;
const MOST_TOKEN: u64 = 1 << 20;

/// A connection to one repository.
pub(super) struct Client<'a> {
    http: reqwest::blocking::Client,
    endpoint: Endpoint,
    repository: String,
    account: Option<Account>,
    authorization: Mutex<Option<HeaderValue>>,
    cancel: &'a Cancel,
}

/// One thing to ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    /// Path below the repository, like `manifests/latest`.
    pub(super) path: &'a str,
    /// Media types that are understood.
    pub(super) accept: &'a str,
    /// From which byte on.
    pub(super) from: u64,
}

impl<'a> Client<'a> {
    /// Makes a client; nothing is sent yet.
    pub(super) fn new(
        endpoint: Endpoint,
        repository: &str,
        account: Option<Account>,
        cancel: &'a Cancel,
    ) -> Result<Self, Error> {
        install_tls();
        let http = reqwest::blocking::Client::builder()
            .user_agent(concat!("cooperage/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .build()
            .map_err(|error| Error::Internal(format!("cannot make an HTTP client: {error}")))?;
        let account = account.filter(|_| endpoint.role == Role::Registry);
        let (repository, authorization) = (repository.to_owned(), Mutex::new(None));
        Ok(Self {
            http,
            endpoint,
            repository,
            account,
            authorization,
            cancel,
        })
    }

    /// Asks until there is an answer, a refusal, or no more patience.
    pub(super) fn get(&self, ask: Ask<'_>) -> Result<Response, Error> {
        let mut patience = Patience::default();
        let mut authorized = false;
        loop {
            let response = match self.send(ask) {
                Ok(response) => response,
                Err(SendError::Redirect(what)) => return Err(self.nonsense(ask.path, &what)),
                Err(SendError::Transport(error)) => {
                    patience
                        .wait(None, self.cancel)?
                        .ok_or_else(|| self.ask_error(ask.path, |it| it.unreachable(error)))?;
                    continue;
                }
            };
            match response.status() {
                status if status.is_success() => return Ok(response),
                StatusCode::UNAUTHORIZED if !authorized => {
                    self.authorize(response, ask.path)?;
                    authorized = true;
                }
                status if is_passing(status) => {
                    patience
                        .wait(retry_after(&response), self.cancel)?
                        .ok_or_else(|| self.ask_error(ask.path, |it| it.overloaded(response)))?;
                }
                _ => return Err(self.ask_error(ask.path, |it| it.refused(response))),
            }
        }
    }

    /// An error that tells what was asked for, where and as whom.
    pub(super) fn nonsense(&self, path: &str, what: &str) -> Error {
        self.ask_error(path, |question| question.nonsense(what))
    }

    /// The build was cancelled.
    pub(super) fn check_cancelled(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Waits before another try; the error says that it was the last one.
    pub(super) fn wait(&self, patience: &mut Patience) -> Result<Option<()>, Error> {
        patience.wait(None, self.cancel)
    }

    fn ask_error(&self, path: &str, make: impl FnOnce(&Question<'_>) -> Error) -> Error {
        let subject = match path.strip_prefix("manifests/") {
            Some(digest) if digest.contains(':') => format!("{}@{digest}", self.repository),
            Some(tag) => format!("{}:{tag}", self.repository),
            None => format!("{path} of {}", self.repository),
        };
        let host = self.endpoint.host();
        make(&Question {
            host: &host,
            subject: &subject,
            account: self.account.as_ref(),
        })
    }

    /// Sends once and follows redirects, without the authorization where they leave the registry.
    fn send(&self, ask: Ask<'_>) -> Result<Response, SendError> {
        let path = format!("v2/{}/{}", self.repository, ask.path);
        let broken = |_| SendError::Redirect("a broken address".to_owned());
        let mut url = self.endpoint.base.join(&path).map_err(broken)?;
        for _ in 0..=MOST_REDIRECTS {
            let response = self
                .request(&url, ask)
                .send()
                .map_err(SendError::Transport)?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            let next =
                next.filter(|next| next.scheme() == "https" || next.scheme() == url.scheme());
            url =
                next.ok_or_else(|| SendError::Redirect("a redirect to nowhere safe".to_owned()))?;
        }
        Err(SendError::Redirect("too many redirects".to_owned()))
    }

    fn request(&self, url: &Url, ask: Ask<'_>) -> RequestBuilder {
        let mut request = self.http.get(url.clone()).header(ACCEPT, ask.accept);
        if ask.from > 0 {
            request = request.header(RANGE, format!("bytes={}-", ask.from));
        }
        let authorization = self
            .authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match authorization.as_ref() {
            Some(value) if self.endpoint.is_origin_of(url) => request.header(AUTHORIZATION, value),
            _ => request,
        }
    }

    /// Does what the challenge of a 401 asks for.
    fn authorize(&self, response: Response, path: &str) -> Result<(), Error> {
        let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges = values.filter_map(|value| challenge::parse(value.to_str().ok()?));
        // Two header lines may carry one challenge each.
        let challenge = challenges.max_by_key(|it| matches!(it, Challenge::Bearer { .. }));
        let authorization = match (challenge, &self.account) {
            (
                Some(Challenge::Bearer {
                    realm,
                    service,
                    scope,
                }),
                _,
            ) => {
                let token = self.token(&realm, service.as_deref(), scope.as_deref())?;
                format!("Bearer {token}")
            }
            (Some(Challenge::Basic), Some(account)) => basic(account),
            _ => return Err(self.ask_error(path, |question| question.refused(response))),
        };
        let value = HeaderValue::try_from(authorization).map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let value = value.map_err(|_| self.nonsense("a token", "something that is no token"))?;
        *self
            .authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    }

    /// Gets a token for pulling from this repository.
    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<String, Error> {
        let mut url = self.safe_realm(realm)?;
        let default_scope = format!("repository:{}:pull", self.repository);
        url.query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .append_pair("scope", scope.unwrap_or(&default_scope));
        let host = authority(&url);
        let subject = format!("a token for {}", self.repository);
        let question = Question {
            host: &host,
            subject: &subject,
            account: self.account.as_ref(),
        };
        let response = self.send_token_request(&url, &question)?;
        let mut body = Vec::new();
        let read = response.take(MOST_TOKEN).read_to_end(&mut body);
        let answer = read
            .ok()
            .and_then(|_| serde_json::from_slice::<TokenAnswer>(&body).ok());
        let token = answer.and_then(|answer| answer.access_token.or(answer.token));
        token
            .filter(|token| !token.is_empty())
            .ok_or_else(|| question.nonsense("no token"))
    }

    fn send_token_request(&self, url: &Url, question: &Question<'_>) -> Result<Response, Error> {
        let mut patience = Patience::default();
        loop {
            let mut request = self.http.get(url.clone());
            if let Some(account) = &self.account {
                request = request.header(AUTHORIZATION, sensitive_basic(account)?);
            }
            match request.send() {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) if is_passing(response.status()) => {
                    patience
                        .wait(retry_after(&response), self.cancel)?
                        .ok_or_else(|| question.overloaded(response))?;
                }
                Ok(response) => return Err(question.refused(response)),
                Err(error) => {
                    patience
                        .wait(None, self.cancel)?
                        .ok_or_else(|| question.unreachable(error))?;
                }
            }
        }
    }

    /// A registry that is reached over https must not send passwords over plain http.
    fn safe_realm(&self, realm: &str) -> Result<Url, Error> {
        let url = self.endpoint.base.join(realm).ok();
        let is_safe = |url: &Url| {
            url.scheme() == "https"
                || url.scheme() == "http" && self.endpoint.base.scheme() == "http"
        };
        url.filter(is_safe).ok_or_else(|| Error::Base {
            message: format!(
                "{} wants a token from the unsafe address `{realm}`",
                self.endpoint.host()
            ),
            help: Some("the address of a token server should begin with https://".to_owned()),
        })
    }
}

enum SendError {
    Transport(reqwest::Error),
    Redirect(String),
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

/// How often and how long something is tried again.
#[derive(Debug)]
pub(crate) struct Patience {
    tries: u32,
    pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 4,
            pause: Duration::from_millis(250),
        }
    }
}

impl Patience {
    const LONGEST: Duration = Duration::from_mins(1);

    /// Waits before the next try. `None` means that there is none.
    pub(crate) fn wait(
        &mut self,
        asked: Option<Duration>,
        cancel: &Cancel,
    ) -> Result<Option<()>, Error> {
        if self.tries == 0 || asked.is_some_and(|asked| asked > Self::LONGEST) {
            return Ok(None);
        }
        self.tries -= 1;
        let until = std::time::Instant::now() + asked.unwrap_or(self.pause).max(self.pause);
        self.pause *= 2;
        while std::time::Instant::now() < until {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Some(()))
    }
}

pub(crate) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The seconds of `Retry-After`; registries do not send its other form, a date.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

fn basic(account: &Account) -> String {
    use base64::Engine as _;
    let pair = format!("{}:{}", account.username, account.password.expose_secret());
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
}

fn sensitive_basic(account: &Account) -> Result<HeaderValue, Error> {
    let value = HeaderValue::try_from(basic(account));
    let mut value = value.map_err(|error| Error::Internal(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Without a process-wide provider rustls panics at the first connection.
pub(crate) fn install_tls() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // The loser of a race finds the same provider installed.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}
