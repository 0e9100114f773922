//! The HTTP client: requests with the token, and what the hub's answers mean.

use std::time::Duration;

use cooperage_protocol::worker::{Claim, Work};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::Error;

/// The hub, as one worker reaches it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    http: reqwest::Client,
    base: Url,
    token: SecretString,
}

/// Why a call had no effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The token is not known.
    #[error("token is not accepted")]
    Unauthorized,
    /// The attempt is no longer this worker's, or the build is gone.
    #[error("lease is lost")]
    LeaseLost,
    /// The hub understood and refused; repeating will not help.
    #[error("hub refused with {status}: {detail}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What the hub said.
        detail: String,
    },
    /// No answer, or one that says to try again.
    #[error("hub cannot be reached: {0}")]
    Away(String),
}

impl Hub {
    pub(crate) fn new(base: &Url, token: SecretString) -> Result<Self, Error> {
        if !matches!(base.scheme(), "http" | "https") {
            return Err(Error::Address(base.clone()));
        }
        let mut base = base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .tcp_keepalive(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("cooperage-worker/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::Client)?;
        Ok(Self { http, base, token })
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// A request to a path below the hub's address.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        self.http
            .request(method, url)
            .bearer_auth(self.token.expose_secret())
    }

    /// Asks for work; `None` when there was none for the time of `wait`.
    pub(crate) async fn claim(
        &self,
        claim: &Claim,
        wait: Duration,
    ) -> Result<Option<Work>, CallError> {
        let request = self.request(Method::POST, "worker/claim").json(claim);
        let response = send(request.timeout(wait + Duration::from_secs(15))).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        response
            .json()
            .await
            .map(Some)
            .map_err(|error| away(&error))
    }
}

/// Sends a request and sorts the answer.
pub(crate) async fn send(request: RequestBuilder) -> Result<Response, CallError> {
    let response = request.send().await.map_err(|error| away(&error))?;
    let status = response.status();
    match status {
        _ if status.is_success() => Ok(response),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(CallError::Unauthorized),
        StatusCode::CONFLICT | StatusCode::NOT_FOUND | StatusCode::GONE => {
            Err(CallError::LeaseLost)
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(CallError::Away(format!("it answered {status}")))
        }
        _ if status.is_client_error() => Err(CallError::Refused {
            status,
            detail: detail(response).await,
        }),
        _ => Err(CallError::Away(format!("it answered {status}"))),
    }
}

/// The error with all its causes: the outermost one alone says only "error sending request".
pub(crate) fn away(error: &reqwest::Error) -> CallError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    CallError::Away(text)
}

async fn detail(mut response: Response) -> String {
    const ENOUGH: usize = 4096;
    let mut body = Vec::new();
    while body.len() < ENOUGH {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    let problem: Option<cooperage_protocol::admin::Problem> = serde_json::from_slice(&body).ok();
    problem.map_or_else(
        || String::from_utf8_lossy(&body).into_owned(),
        |problem| problem.detail,
    )
}
