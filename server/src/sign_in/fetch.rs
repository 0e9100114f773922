//! How is a provider asked? With patience that ends, and without following it elsewhere.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;

const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 1 << 20;

/// Why a provider gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// It cannot be reached, or broke off.
    #[error("{0:#}")]
    Broken(anyhow::Error),
    /// It answered by another status.
    #[error("it answered {status}: {body}")]
    Status {
        /// The status.
        status: StatusCode,
        /// The beginning of what it said.
        body: String,
    },
    /// What it answered is not what was asked for.
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
}

impl From<reqwest::Error> for Unanswered {
    fn from(error: reqwest::Error) -> Self {
        Self::Broken(error.into())
    }
}

/// What speaks to providers.
pub(super) fn client() -> Result<Client, Unanswered> {
    let client = Client::builder()
        .timeout(PATIENCE)
        .connect_timeout(PATIENCE / 2)
        .redirect(Policy::none())
        .user_agent("cooperage");
    Ok(client.build()?)
}

/// Sends a request, and reads the JSON that it is answered by.
pub(super) async fn json<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Unanswered> {
    let request = request.header(header::ACCEPT, "application/json");
    let response = request.send().await?;
    let status = response.status();
    let body = read(response).await?;
    if status != StatusCode::OK {
        let body = String::from_utf8_lossy(&body).chars().take(300).collect();
        return Err(Unanswered::Status { status, body });
    }
    serde_json::from_slice(&body).map_err(|error| Unanswered::Unreadable(error.to_string()))
}

async fn read(mut response: Response) -> Result<Vec<u8>, Unanswered> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            return Err(Unanswered::Unreadable(format!(
                "it is larger than {LARGEST} bytes"
            )));
        }
    }
    Ok(body)
}
