//! The calls about one attempt, or one check, repeated for as long as its lease lasts.

use std::time::Duration;

use cooperage_protocol::Diagnostic;
use cooperage_protocol::check::Step;
use cooperage_protocol::worker::{Assignment, CheckAssignment, Outcome, PhaseStarted};
use reqwest::{Method, RequestBuilder, Response};

use crate::backoff::Backoff;
use crate::hub::{CallError, Hub, send};
use crate::lease::{Lease, Stop};

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
            if let Some(response) = self.call_once(request()?).await? {
                return Ok(response);
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Makes a call once; there is no answer when the hub is away.
    pub(crate) async fn call_once(
        &self,
        request: RequestBuilder,
    ) -> Result<Option<Response>, AttemptError> {
        let answer = tokio::select! {
            biased;
            () = self.lease.lost() => return Err(AttemptError::Lost),
            answer = send(request) => answer,
        };
        match answer {
            Ok(response) => Ok(Some(response)),
            Err(CallError::Away(error)) => {
                tracing::warn!(error, "hub is away, the call will be repeated");
                Ok(None)
            }
            Err(CallError::LeaseLost | CallError::Unauthorized) => {
                self.lease.stop(Stop::Lost);
                Err(AttemptError::Lost)
            }
            Err(error @ CallError::Refused { .. }) => Err(AttemptError::Refused(error.to_string())),
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
