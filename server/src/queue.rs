//! How does work find a worker, and what happens when the worker vanishes?

use std::time::Duration;

use cooperage_protocol::worker::{Ability, Assignment, Lease, Limits, Work};
use cooperage_protocol::{BuildId, Failure, FailureKind, WorkerId};
use tokio::time::{Instant, timeout_at};

use crate::config::BuildLimits;
use crate::db::builds::{self, leases};
use crate::error::Error;
use crate::state::Hub;
use crate::{checks, credentials};

/// How long a missed `NOTIFY` can hold up a build.
const POLL: Duration = Duration::from_secs(5);

/// Gives the next work that a worker can do to it, waiting for some as long as `wait`.
pub async fn claim(
    hub: &Hub,
    worker: WorkerId,
    abilities: &[Ability],
    wait: Duration,
) -> Result<Option<Work>, Error> {
    let deadline = Instant::now() + wait;
    loop {
        let woken = hub.wakeups.queue.notified();
        tokio::pin!(woken);
        // What is queued between the look and the wait must wake us as well.
        woken.as_mut().enable();
        if let Some(work) = next(hub, worker, abilities).await? {
            return Ok(Some(work));
        }
        let now = Instant::now();
        if now >= deadline {
            return Ok(None);
        }
        // Whether it was woken or only looks again makes no difference.
        timeout_at(deadline.min(now + POLL), woken)
            .await
            .unwrap_or_default();
    }
}

/// Somebody waits before the page of a check, and it is soon done: checks come first.
async fn next(hub: &Hub, worker: WorkerId, abilities: &[Ability]) -> Result<Option<Work>, Error> {
    if abilities.contains(&Ability::Check)
        && let Some(check) = checks::claim(hub, worker).await?
    {
        return Ok(Some(Work::Check(check)));
    }
    let Some(leased) = leases::claim(&hub.db, worker, lease_seconds(hub)).await? else {
        return Ok(None);
    };
    let assignment = assignment(hub, leased).await?;
    Ok(Some(Work::Build(Box::new(assignment))))
}

/// Renews the lease of an attempt.
pub async fn heartbeat(hub: &Hub, holder: leases::Holder) -> Result<Lease, Error> {
    let cancel = leases::renew(&hub.db, holder, lease_seconds(hub)).await?;
    let cancel = cancel.ok_or_else(lease_lost)?;
    Ok(Lease {
        seconds: u64::from(hub.config.lease_seconds),
        cancel,
    })
}

/// Queues a build again that its worker cannot finish.
pub async fn release(hub: &Hub, holder: leases::Holder) -> Result<(), Error> {
    let mut tx = hub.db.begin().await?;
    let locked = leases::lock(&mut tx, holder)
        .await?
        .ok_or_else(lease_lost)?;
    if locked.state != cooperage_protocol::BuildState::Running {
        return Err(lease_lost());
    }
    if locked.cancel_requested {
        leases::fail(&mut tx, holder.build, &cancelled()).await?;
    } else {
        leases::release(&mut tx, holder.build).await?;
    }
    Ok(tx.commit().await?)
}

/// Cancels a build that waits at once, one that runs at its worker's next heartbeat.
pub async fn cancel_build(hub: &Hub, build: BuildId) -> Result<(), Error> {
    if builds::cancel(&hub.db, build, &cancelled()).await? {
        return Ok(());
    }
    match builds::state(&hub.db, build).await? {
        None => Err(Error::NotFound(format!("there is no build {build}"))),
        Some(state) => Err(Error::Conflict(format!(
            "build {build} has {} already",
            state.as_str()
        ))),
    }
}

/// Takes work back from workers that vanished, until the hub ends.
pub(crate) async fn reap_forever(hub: Hub) {
    let attempts = i32::try_from(hub.config.attempts).unwrap_or(i32::MAX);
    let worker_lost = Failure::new(
        FailureKind::WorkerLost,
        format!("the worker vanished {attempts} times while it built this"),
    );
    loop {
        match leases::reap(&hub.db, attempts, &worker_lost, &cancelled()).await {
            Ok(0) => {}
            Ok(count) => tracing::warn!("took {count} builds back from workers that vanished"),
            Err(error) => tracing::error!(error = %crate::told(error), "leases are not watched"),
        }
        match checks::expire(&hub).await {
            Ok(0) => {}
            Ok(count) => tracing::warn!("{count} checks of images got no answer"),
            Err(error) => tracing::error!(error = crate::told(error), "checks are not watched"),
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// The answer to an attempt that is not the build's any more.
pub(crate) fn lease_lost() -> Error {
    Error::Conflict("the build is no longer leased to this worker at this attempt".to_owned())
}

/// Why a build ended that a person stopped.
pub(crate) fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "cancelled by a person")
}

fn lease_seconds(hub: &Hub) -> f64 {
    f64::from(hub.config.lease_seconds)
}

async fn assignment(hub: &Hub, leased: leases::Leased) -> Result<Assignment, Error> {
    Ok(Assignment {
        build: leased.build,
        attempt: leased.attempt,
        lease: Lease {
            seconds: u64::from(hub.config.lease_seconds),
            cancel: false,
        },
        collection: leased.collection.parse().map_err(anyhow::Error::from)?,
        tag: leased.tag.parse().map_err(anyhow::Error::from)?,
        commit: leased.commit,
        commit_time: leased.commit_time.timestamp(),
        recipe: leased.recipe,
        accounts: credentials::for_build(hub, leased.collection_id).await?,
        mode: leased.mode.parse().map_err(anyhow::Error::from)?,
        step_cache: leased.step_cache.parse().map_err(anyhow::Error::from)?,
        limits: limits(&hub.config.limits),
    })
}

fn limits(config: &BuildLimits) -> Limits {
    let bytes = |mib: u64| mib.saturating_mul(1 << 20);
    Limits {
        seconds: config.seconds,
        memory_bytes: bytes(config.memory_mib),
        processes: config.processes,
        disk_bytes: bytes(config.disk_mib),
        log_bytes: bytes(config.log_mib),
    }
}
