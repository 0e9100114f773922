//! What is said when a registry does not give what was asked for.

use std::io::Read;

use reqwest::StatusCode;
use reqwest::blocking::Response;
use serde::Deserialize;

use super::accounts::Account;
use super::transport::Obstacle;
use crate::error::Error;

const MOST_BODY: u64 = 64 << 10;
const MOST_TEXT: usize = 300;

/// How an account is given.
pub(super) const ACCOUNT_HELP: &str = "give an account with `Username` and `Password` in the \
     definition's header, or with SINGULARITY_DOCKER_USERNAME and SINGULARITY_DOCKER_PASSWORD in \
     the environment";

/// What was asked for, where and as whom.
pub(super) struct Question<'a> {
    pub(super) host: &'a str,
    /// `repository:tag`, or what else was asked for.
    pub(super) subject: &'a str,
    pub(super) account: Option<&'a Account>,
}

impl Question<'_> {
    /// The host answered, and refused.
    pub(super) fn refused(&self, response: Response) -> Error {
        let status = response.status();
        let said = said(response);
        let Self { host, subject, .. } = self;
        let (message, help) = match status {
            StatusCode::NOT_FOUND => (
                format!("{subject} not found on {host}{said}"),
                "check the name and the tag, and that the image was pushed".to_owned(),
            ),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
                format!("{host} does not give access to {subject}{said}"),
                self.access_help(),
            ),
            _ => (
                format!("{host} answered {status} when asked for {subject}{said}"),
                "try again later, or ask who runs the registry".to_owned(),
            ),
        };
        Error::Base {
            message,
            help: Some(help),
        }
    }

    fn access_help(&self) -> String {
        match self.account {
            Some(Account {
                username, source, ..
            }) => {
                format!(
                    "account `{username}` from {source} was used; check its password and rights"
                )
            }
            None => format!(
                "no account was used; either the image does not exist or it is private: \
                 {ACCOUNT_HELP}"
            ),
        }
    }

    /// The host answered with something that cannot be an answer.
    pub(super) fn nonsense(&self, what: &str) -> Error {
        let Self { host, subject, .. } = self;
        Error::Base {
            message: format!("{host} sent {what} when asked for {subject}"),
            help: None,
        }
    }

    /// The host did not answer.
    pub(super) fn unreachable(&self, cause: reqwest::Error) -> Error {
        let Self { host, subject, .. } = self;
        let obstacle = Obstacle::of(&cause);
        if obstacle.is_lasting() {
            return Error::Base {
                message: format!("{subject}: {}", obstacle.sentence(host)),
                help: Some(obstacle.help(host)),
            };
        }
        let what = if cause.is_timeout() {
            "did not answer in time"
        } else {
            "cannot be reached"
        };
        Error::Network {
            message: format!("registry {host} {what} when asked for {subject}"),
            // The URL of a redirect can hold a signature that is as good as a password.
            source: Some(Box::new(cause.without_url())),
        }
    }

    /// The host answered that it cannot now, until patience ended.
    pub(super) fn overloaded(&self, response: Response) -> Error {
        let Self { host, subject, .. } = self;
        let status = response.status();
        let said = said(response);
        let message = format!("registry {host} answered {status} when asked for {subject}{said}");
        Error::Network {
            message,
            source: None,
        }
    }
}

#[derive(Deserialize)]
struct Body {
    errors: Vec<BodyError>,
}

#[derive(Deserialize)]
struct BodyError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What the registry gave as its reason, ready to follow a sentence.
pub(super) fn said(response: Response) -> String {
    let mut body = Vec::new();
    if response.take(MOST_BODY).read_to_end(&mut body).is_err() {
        return String::new();
    }
    let Ok(body) = serde_json::from_slice::<Body>(&body) else {
        return String::new();
    };
    let reasons = body
        .errors
        .iter()
        .map(|BodyError { code, message }| match message.as_str() {
            "" => code.clone(),
            message => message.to_owned(),
        });
    let reasons: Vec<String> = reasons.collect();
    let printable = |character: &char| !character.is_control();
    let text: String = reasons
        .join("; ")
        .chars()
        .filter(printable)
        .take(MOST_TEXT)
        .collect();
    if text.is_empty() {
        text
    } else {
        format!(": {text}")
    }
}
