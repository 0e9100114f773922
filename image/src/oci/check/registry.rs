//! What one server says when it is asked for an image.

use reqwest::StatusCode;
use reqwest::blocking::Response;

use super::{Ended, Step, Subject, bad, good, note};
use crate::oci::accounts::Account;
use crate::oci::challenge::Challenge;
use crate::oci::client::{Ask, Client, SendError};
use crate::oci::error::{ACCOUNT_HELP, said};
use crate::oci::login::LoginError;
use crate::oci::manifest::ACCEPTED;
use crate::oci::reference::Reference;
use crate::oci::transport::Obstacle;

/// One host that is asked for one image.
pub(super) struct Registry<'a> {
    pub(super) client: &'a Client<'a>,
    pub(super) host: &'a str,
    pub(super) reference: &'a Reference,
}

impl Registry<'_> {
    pub(super) fn ask(&self) -> Result<Response, Step> {
        let path = format!("manifests/{}", self.reference.version());
        let ask = Ask {
            path: &path,
            accept: ACCEPTED,
            from: 0,
        };
        self.client.send(ask).map_err(|error| match error {
            SendError::Transport(error) => {
                let obstacle = Obstacle::of(&error);
                let (message, help) = (obstacle.sentence(self.host), obstacle.help(self.host));
                bad(Subject::Host, message, &help).fact("host", self.host)
            }
            SendError::Redirect(what) => {
                let message = format!("{} answered with {what}", self.host);
                bad(Subject::Host, message, "ask who runs the registry").fact("host", self.host)
            }
        })
    }

    /// A web server that is no registry also says that there is no such page.
    pub(super) fn is_registry(&self, response: &Response) -> Ended {
        let header = |name: &str| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_ascii_lowercase())
        };
        let speaks_json = header("content-type").is_some_and(|kind| kind.contains("json"));
        let is_registry = response.status() == StatusCode::UNAUTHORIZED
            || header("docker-distribution-api-version").is_some()
            || speaks_json;
        if is_registry {
            return Ok(());
        }
        let status = response.status();
        let message = format!(
            "{} answered {status}, and not as a registry does",
            self.host
        );
        let help = "check the host and the port, and whether it wants https (or plain http)";
        Err(bad(Subject::Host, message, help).fact("status", status.as_str()))
    }

    /// Does what the registry asks for, and asks again.
    pub(super) fn log_in(
        &self,
        response: Response,
        steps: &mut Vec<Step>,
    ) -> Result<Response, Step> {
        if response.status() != StatusCode::UNAUTHORIZED {
            let message = match self.client.account() {
                Some(Account { username, .. }) => {
                    format!("registry asks for no account; `{username}` was not tried")
                }
                None => "registry asks for no account".to_owned(),
            };
            steps.push(note(Subject::Challenge, message));
            return Ok(response);
        }
        let challenge = Client::challenge(&response).ok_or_else(|| {
            let message = "registry asks for a login, but not for a password or a token".to_owned();
            bad(Subject::Challenge, message, "ask who runs the registry")
        })?;
        steps.push(self.challenge(&challenge));
        self.client
            .log_in(&challenge)
            .map_err(|error| self.refused_login(error))?;
        let response = self.ask()?;
        steps.extend(self.login(&challenge, &response)?);
        Ok(response)
    }

    fn challenge(&self, challenge: &Challenge) -> Step {
        match challenge {
            Challenge::Basic { realm } => {
                let named = realm.as_ref().map(|realm| format!(" for `{realm}`"));
                let named = named.unwrap_or_default();
                let message = format!("registry asks for user name and password{named}");
                good(Subject::Challenge, message).fact("realm", realm.as_deref().unwrap_or(""))
            }
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let scope = self.client.scope(scope.as_deref());
                let message = format!("registry asks for a token of {realm} for `{scope}`");
                good(Subject::Challenge, message)
                    .fact("realm", realm)
                    .fact("service", service.as_deref().unwrap_or(""))
                    .fact("scope", &scope)
            }
        }
    }

    /// How the login went, as far as the answer after it tells.
    fn login(&self, challenge: &Challenge, response: &Response) -> Result<Option<Step>, Step> {
        let who = self.who();
        match challenge {
            Challenge::Bearer { .. } => {
                let message = format!("token server gave a token to {who}");
                Ok(Some(good(Subject::Login, message)))
            }
            Challenge::Basic { .. } if response.status() == StatusCode::UNAUTHORIZED => {
                let message = format!("{} does not accept {who}", self.host);
                let help = "the user name or the password is wrong";
                Err(bad(Subject::Login, message, help).fact("status", "401"))
            }
            Challenge::Basic { .. } => {
                let message = format!("{} accepts {who}", self.host);
                Ok(Some(good(Subject::Login, message)))
            }
        }
    }

    fn refused_login(&self, error: LoginError) -> Step {
        let status = error.status();
        let (message, help) = match error {
            LoginError::NoAccount => (
                format!("{} wants an account, and none is known", self.host),
                ACCOUNT_HELP.to_owned(),
            ),
            LoginError::UnsafeRealm(realm) => (
                format!(
                    "{} wants a token from the unsafe address `{realm}`",
                    self.host
                ),
                "the address of a token server should begin with https://".to_owned(),
            ),
            LoginError::Transport { host, error } => {
                let obstacle = Obstacle::of(&error);
                let sentence = obstacle.sentence(&host);
                let help = "the token server is named by the registry: ask who runs it, or check \
                            the network";
                (format!("token server: {sentence}"), help.to_owned())
            }
            LoginError::NoToken { host } => (
                format!("token server {host} sent no token"),
                "ask who runs the registry".to_owned(),
            ),
            LoginError::Refused { host, response } => {
                let status = response.status();
                let said = said(*response);
                let message = format!(
                    "token server {host} answered {status} to {}{said}",
                    self.who()
                );
                let help = match (status.as_u16(), self.client.account()) {
                    (401 | 403, Some(_)) => "the user name or the password is wrong",
                    (401 | 403, None) => ACCOUNT_HELP,
                    _ => "try again later, or ask who runs the registry",
                };
                (message, help.to_owned())
            }
        };
        let step = bad(Subject::Login, message, &help);
        match status {
            Some(status) => step.fact("status", status.as_str()),
            None => step,
        }
    }

    /// The answer, if it is the image.
    pub(super) fn accepted(&self, response: Response) -> Result<Response, Step> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let reference = self.reference;
        let said = said(response);
        let (message, help) = match (status.as_u16(), self.client.account()) {
            (404, _) => (
                format!("{reference} is not there{said}"),
                "check the repository and the tag, and that the image was pushed",
            ),
            (401 | 403, Some(_)) => (
                format!(
                    "{} may not pull {}{said}",
                    self.who(),
                    reference.repository()
                ),
                "the account is right, but it has no right to this repository; or there is none of \
                 that name",
            ),
            (401 | 403, None) => (
                format!(
                    "nobody may pull {} without an account{said}",
                    reference.repository()
                ),
                ACCOUNT_HELP,
            ),
            (429, _) => (
                format!("{} answered that it was asked too often{said}", self.host),
                "wait, or use an account",
            ),
            _ => (
                format!("{} answered {status}{said}", self.host),
                "try again later, or ask who runs the registry",
            ),
        };
        Err(bad(Subject::Image, message, help).fact("status", status.as_str()))
    }

    fn who(&self) -> String {
        match self.client.account() {
            Some(Account {
                username, source, ..
            }) => format!("account `{username}` from {source}"),
            None => "a caller without an account".to_owned(),
        }
    }
}
