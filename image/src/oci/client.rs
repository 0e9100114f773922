//! How one repository of a registry is asked: anonymously first, then as the registry's challenge
//! says, again when the network or the registry stumbles.
//!
//! # Security
//! Redirects lead to hosts that a stranger's registry chooses. The authorization goes to the
//! registry alone.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, RANGE, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use url::Url;

use super::accounts::Account;
use super::challenge::{self, Challenge};
use super::endpoint::{Endpoint, Role};
use super::error::Question;
use super::login::{Login, LoginError};
use super::patience::{Patience, is_passing, retry_after};
use super::redirect;
use super::transport::Obstacle;
use crate::engine::Cancel;
use crate::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// For the head of an answer, and for every piece of its body.
const TIMEOUT: Duration = Duration::from_mins(1);
const MOST_REDIRECTS: usize = 5;

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
                    if Obstacle::of(&error).is_lasting() {
                        return Err(self.ask_error(ask.path, |it| it.unreachable(error)));
                    }
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

    /// As whom it asks.
    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// An error that tells what was asked for, where and as whom.
    pub(super) fn nonsense(&self, path: &str, what: &str) -> Error {
        self.ask_error(path, |question| question.nonsense(what))
    }

    /// What stops it.
    pub(super) fn cancel(&self) -> &'a Cancel {
        self.cancel
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
    pub(super) fn send(&self, ask: Ask<'_>) -> Result<Response, SendError> {
        let path = format!("v2/{}/{}", self.repository, ask.path);
        let broken = |_| SendError::Redirect("a broken address".to_owned());
        let url = self.endpoint.base.join(&path).map_err(broken)?;
        self.follow(url, ask)
    }

    /// Asks another place for a blob, without the authorization and not over plain http unless the
    /// registry is spoken to so too. What is not there is not an error.
    pub(super) fn get_elsewhere(&self, url: &str, ask: Ask<'_>) -> Option<Response> {
        let url = Url::parse(url).ok()?;
        if url.scheme() != "https" && url.scheme() != self.endpoint.base.scheme() {
            return None;
        }
        let response = self.follow(url, ask).ok()?;
        response.status().is_success().then_some(response)
    }

    fn follow(&self, mut url: Url, ask: Ask<'_>) -> Result<Response, SendError> {
        for _ in 0..=MOST_REDIRECTS {
            let response = self
                .request(&url, ask)
                .send()
                .map_err(SendError::Transport)?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            url = redirect::next(&url, response.headers().get(LOCATION))
                .map_err(SendError::Redirect)?;
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

    /// What a refusal asks for.
    pub(super) fn challenge(response: &Response) -> Option<Challenge> {
        let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges = values.filter_map(|value| challenge::parse(value.to_str().ok()?));
        // Two header lines may carry one challenge each.
        challenges.max_by_key(|it| matches!(it, Challenge::Bearer { .. }))
    }

    /// Does once what a challenge asks for; the next question is asked with its result.
    pub(super) fn log_in(&self, challenge: &Challenge) -> Result<(), LoginError> {
        let value = self.login().authorization(challenge)?;
        *self
            .authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    }

    /// What a token is asked for.
    pub(super) fn scope(&self, asked: Option<&str>) -> String {
        self.login().scope(asked)
    }

    fn login(&self) -> Login<'_> {
        Login {
            http: &self.http,
            base: &self.endpoint.base,
            repository: &self.repository,
            account: self.account.as_ref(),
        }
    }

    /// Logs in as the challenge of a 401 asks, again when the token server stumbles.
    fn authorize(&self, response: Response, path: &str) -> Result<(), Error> {
        let Some(challenge) = Self::challenge(&response) else {
            return Err(self.ask_error(path, |question| question.refused(response)));
        };
        let mut patience = Patience::default();
        loop {
            let error = match self.log_in(&challenge) {
                Ok(()) => return Ok(()),
                Err(LoginError::NoAccount) => {
                    return Err(self.ask_error(path, |question| question.refused(response)));
                }
                Err(error) => error,
            };
            let asked = match &error {
                LoginError::Transport { .. } => None,
                LoginError::Refused { response, .. } if is_passing(response.status()) => {
                    retry_after(response)
                }
                _ => return Err(self.login_error(error)),
            };
            patience
                .wait(asked, self.cancel)?
                .ok_or_else(|| self.login_error(error))?;
        }
    }

    fn login_error(&self, error: LoginError) -> Error {
        let subject = format!("a token for {}", self.repository);
        let question = |host| Question {
            host,
            subject: &subject,
            account: self.account.as_ref(),
        };
        match error {
            LoginError::NoAccount => question(&self.endpoint.host()).nonsense("no challenge"),
            LoginError::UnsafeRealm(realm) => Error::Base {
                message: format!(
                    "{} wants a token from the unsafe address `{realm}`",
                    self.endpoint.host()
                ),
                help: Some("the address of a token server should begin with https://".to_owned()),
            },
            LoginError::Transport { host, error } => question(&host).unreachable(error),
            LoginError::Refused { host, response } if is_passing(response.status()) => {
                question(&host).overloaded(*response)
            }
            LoginError::Refused { host, response } => question(&host).refused(*response),
            LoginError::NoToken { host } => question(&host).nonsense("no token"),
        }
    }
}

/// Why a question has no answer.
pub(super) enum SendError {
    /// The host did not answer.
    Transport(reqwest::Error),
    /// It sent us somewhere that is not gone to.
    Redirect(String),
}

/// Without a process-wide provider rustls panics at the first connection.
pub(crate) fn install_tls() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // The loser of a race finds the same provider installed.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}
