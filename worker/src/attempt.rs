//! The calls about one attempt, or one check, repeated for as long as its lease lasts.

use std::path::Path;
use std::time::Duration;

use cooperage_protocol::check::Step;
use cooperage_protocol::worker::{Assignment, CheckAssignment, Outcome, PhaseStarted};
use cooperage_protocol::{Diagnostic, Digest};
use reqwest::{Method, RequestBuilder, Response, header};
use tokio_util::io::ReaderStream;

use crate::backoff::Backoff;
use crate::hub::{CallError, Hub, send};
use crate::lease::{Lease, Stop};

/// Pieces in which an object is read and sent.
const UPLOAD_PIECE: usize = 128 * 1024;

/// How often an object is sent whose digest the hub finds to be another.
const UPLOAD_TRIES: u32 = 3;

/// One attempt at one build, or at one check.
#[derive(Debug)]
pub(crate) struct Attempt {
    hub: Hub,
    path: String,
    pub(crate) lease: Lease,
}

/// Why a call about an attempt came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    /// The lease is lost.
    #[error("lease is lost")]
    Lost,
    /// The hub refused, and would do so again.
    #[error("{0}")]
    Refused(String),
    /// A file of this machine cannot be read or written.
    #[error("{0}")]
    Local(#[from] std::io::Error),
}

impl Attempt {
    pub(crate) fn new(hub: Hub, assignment: &Assignment, lease: Lease) -> Self {
        let path = format!("worker/builds/{}/{}", assignment.build, assignment.attempt);
        Self { hub, path, lease }
    }

    /// A check is attempted once.
    pub(crate) fn of_check(hub: Hub, assignment: &CheckAssignment, lease: Lease) -> Self {
        let path = format!("worker/checks/{}", assignment.check);
        Self { hub, path, lease }
    }

    pub(crate) fn request(&self, method: Method, call: &str) -> RequestBuilder {
        self.hub.request(method, &format!("{}/{call}", self.path))
    }

    /// Makes a call again and again until it is answered or the lease is lost.
    pub(crate) async fn call(
        &self,
        request: impl Fn() -> std::io::Result<RequestBuilder>,
    ) -> Result<Response, AttemptError> {
        let mut backoff = Backoff::up_to(Duration::from_secs(5));
        loop {
            let answer = tokio::select! {
                biased;
                () = self.lease.lost() => return Err(AttemptError::Lost),
                answer = send(request()?) => answer,
            };
            match answer {
                Ok(response) => return Ok(response),
                Err(CallError::Away(error)) => {
                    tracing::warn!(error, "hub is away, the call will be repeated");
                    tokio::time::sleep(backoff.next_delay()).await;
                }
                Err(CallError::LeaseLost | CallError::Unauthorized) => {
                    self.lease.stop(Stop::Lost);
                    return Err(AttemptError::Lost);
                }
                Err(error @ CallError::Refused { .. }) => {
                    return Err(AttemptError::Refused(error.to_string()));
                }
            }
        }
    }

    pub(crate) async fn start_phase(&self, name: &str) -> Result<(), AttemptError> {
        let phase = PhaseStarted {
            name: name.to_owned(),
        };
        self.call(|| Ok(self.request(Method::POST, "phases").json(&phase)))
            .await?;
        Ok(())
    }

    /// Tells all that is known of the definition so far.
    pub(crate) async fn diagnose(&self, diagnostics: &[Diagnostic]) -> Result<(), AttemptError> {
        let put = || Ok(self.request(Method::PUT, "diagnostics").json(diagnostics));
        self.call(put).await?;
        Ok(())
    }

    /// Sends a file as an object of the store.
    pub(crate) async fn upload(&self, file: &Path, digest: Digest) -> Result<(), AttemptError> {
        let size = tokio::fs::metadata(file).await?.len();
        let put = || {
            let content = tokio::fs::File::from_std(std::fs::File::open(file)?);
            let body = ReaderStream::with_capacity(content, UPLOAD_PIECE);
            Ok(self
                .request(Method::PUT, &format!("objects/{digest}"))
                .header(header::CONTENT_LENGTH, size)
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .body(reqwest::Body::wrap_stream(body)))
        };
        let mut tries = 1;
        loop {
            match self.call(put).await {
                Ok(_) => return Ok(()),
                Err(AttemptError::Refused(reason)) if tries < UPLOAD_TRIES => {
                    tracing::warn!(reason, "object was refused, sending it again");
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) async fn finish(&self, outcome: &Outcome) -> Result<(), AttemptError> {
        self.call(|| Ok(self.request(Method::POST, "finish").json(outcome)))
            .await?;
        Ok(())
    }

    /// Answers a check.
    pub(crate) async fn answer(&self, steps: &[Step]) -> Result<(), AttemptError> {
        self.call(|| Ok(self.request(Method::PUT, "steps").json(steps)))
            .await?;
        Ok(())
    }

    /// Hands the build back: it is queued again and the attempt does not count.
    pub(crate) async fn release(&self) -> Result<(), AttemptError> {
        self.call(|| Ok(self.request(Method::POST, "release")))
            .await?;
        Ok(())
    }
}
