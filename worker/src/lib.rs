//! The worker: claims a build from the hub, runs the engine, uploads the image. Between builds it
//! checks whether images can be had.
//!
//! It speaks HTTP to the hub and nothing else, and holds one bearer token. The line through the
//! crate: [`run`] claims in a loop → `build` does one attempt (`context`, the engine, `log`,
//! `outcome`), or `check` answers one check, through `attempt`, which repeats calls for as long as
//! `lease` lasts.

mod accounts;
mod attempt;
mod backoff;
mod build;
mod check;
mod context;
mod heartbeat;
mod hub;
mod lease;
mod log;
mod outcome;
mod report;
mod scratch;
#[cfg(test)]
mod tests;
mod upload;

/// The engine's words in those of the hub.
pub mod told {
    pub use crate::outcome::{diagnostic, of_engine as failure};
}

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cooperage_image::oci::Registries;
use cooperage_image::{BuiltImage, Cancel, Engine, Event, Request};
use cooperage_protocol::worker::{Ability, Claim, Work};
use secrecy::SecretString;
use url::Url;

use crate::backoff::Backoff;
use crate::hub::{CallError, Hub};
use crate::scratch::Scratch;

/// How long one claim waits at the hub for a build.
const CLAIM_WAIT: Duration = Duration::from_secs(30);

/// What a worker needs to know.
#[derive(Debug)]
pub struct Settings {
    /// Address of the hub.
    pub hub: Url,
    /// The token that the hub gave this worker.
    pub token: SecretString,
    /// The worker's name in its own log.
    pub name: String,
    /// How the engine works. Its scratch folder belongs to this worker alone.
    pub engine: cooperage_image::Settings,
}

/// Why a worker ends other than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The hub does not know the token.
    #[error(
        "hub at {0} does not accept this worker's token; `cooperage worker add NAME` on the hub \
         makes one"
    )]
    Unauthorized(Url),
    /// The hub's address cannot be used.
    #[error("hub address {0} is not http:// or https://")]
    Address(Url),
    /// The HTTP client could not be made.
    #[error("http client could not be made")]
    Client(#[source] reqwest::Error),
    /// The scratch folder cannot be used.
    #[error("{action} {}", path.display())]
    Scratch {
        /// What was being done, as a participle.
        action: &'static str,
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Another worker uses the scratch folder.
    #[error("scratch folder {} is used by another worker; give each its own", .0.display())]
    ScratchInUse(PathBuf),
}

/// How a definition becomes an image: the engine, or what a test puts in its place.
type Build = dyn Fn(&Request, &(dyn Fn(Event<'_>) + Sync), &Cancel) -> Result<BuiltImage, cooperage_image::Error>
    + Send
    + Sync;

/// Builds what the hub gives until `shutdown` completes; a build under way is handed back then.
///
/// A hub that is away is waited for. The only errors are those that waiting does not mend.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let engine = Engine::new(settings.engine.clone());
    let sweeper = engine.clone();
    match tokio::task::spawn_blocking(move || sweeper.sweep()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "a killed build may have left its tree behind"),
        Err(panic) => tracing::error!(%panic, "sweeping the scratch folder panicked"),
    }
    let build = move |request: &Request, events: &(dyn Fn(Event<'_>) + Sync), cancel: &Cancel| {
        engine.build(request, events, cancel)
    };
    run_with(settings, Arc::new(build), shutdown).await
}

async fn run_with(
    settings: Settings,
    build: Arc<Build>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let hub = Hub::new(&settings.hub, settings.token)?;
    let worker = Worker {
        scratch: Scratch::open(&settings.engine.scratch)?,
        registries: settings.engine.registries,
        hub,
        build,
    };
    let stopping = tokio_util::sync::CancellationToken::new();
    tracing::info!(
        worker = settings.name,
        "worker asks {} for builds",
        settings.hub
    );

    let work = worker.work(stopping.clone());
    tokio::pin!(work);
    tokio::select! {
        ended = &mut work => return ended,
        () = shutdown => stopping.cancel(),
    }
    work.await
}

/// What all attempts of a worker share.
struct Worker {
    hub: Hub,
    scratch: Scratch,
    registries: Registries,
    build: Arc<Build>,
}

impl Worker {
    async fn work(&self, stopping: tokio_util::sync::CancellationToken) -> Result<(), Error> {
        loop {
            let claimed = tokio::select! {
                biased;
                () = stopping.cancelled() => return Ok(()),
                claimed = self.claim() => claimed?,
            };
            match claimed {
                Some(Work::Build(assignment)) => build::run(self, *assignment, &stopping).await,
                Some(Work::Check(assignment)) => check::run(self, assignment, &stopping).await,
                None => {}
            }
        }
    }

    /// Waits for work, also for the hub when it is away.
    async fn claim(&self) -> Result<Option<Work>, Error> {
        let claim = Claim {
            wait_seconds: CLAIM_WAIT.as_secs(),
            architecture: architecture().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            abilities: vec![Ability::Check],
        };
        let mut backoff = Backoff::up_to(Duration::from_secs(15));
        loop {
            match self.hub.claim(&claim, CLAIM_WAIT).await {
                Ok(work) => return Ok(work),
                Err(CallError::Unauthorized) => {
                    return Err(Error::Unauthorized(self.hub.base().clone()));
                }
                Err(error) => {
                    let delay = backoff.next_delay();
                    tracing::warn!(%error, "hub gives no builds, asking again in {delay:.1?}");
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }
}

/// The machine's architecture in Go's spelling.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        other => other,
    }
}
