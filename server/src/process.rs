//! What becomes of a delivery after it was answered? Builds, or the reason why not.

use std::time::Duration;

use cooperage_protocol::{CollectionId, StepCache};
use sqlx::{PgConnection, PgExecutor};

use crate::db::builds::{self, NewBuild};
use crate::db::collections::{self, Collection};
use crate::db::deliveries::{self, Claimed};
use crate::db::{images, tags};
use crate::error::Error;
use crate::forge::{self, Event, Push, github};
use crate::plan::{self, Origin};
use crate::scan::fetch::FetchError;
use crate::scan::{Snapshot, Source};
use crate::state::Hub;

/// How often a forge that cannot be reached is asked.
const ATTEMPTS: i32 = 6;

/// How long a missed `NOTIFY` can hold up a delivery.
const POLL: Duration = Duration::from_secs(2);

/// Processes deliveries as they come, until the hub ends.
pub(crate) async fn process_forever(hub: Hub) {
    loop {
        let woken = hub.wakeups.deliveries.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        match next(&hub).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(error = %crate::told(error), "no delivery is processed"),
        }
        // Whether it was woken or only looks again makes no difference.
        tokio::time::timeout(POLL, woken).await.unwrap_or_default();
    }
}

/// Processes the delivery that is due first; false when there is none.
pub(crate) async fn next(hub: &Hub) -> Result<bool, Error> {
    let lease = Duration::from_secs(hub.config.fetch.seconds.saturating_mul(3) + 60);
    let Some(claimed) = deliveries::claim(&hub.db, lease.as_secs_f64()).await? else {
        return Ok(false);
    };
    // In a task of its own, a panic ends the delivery and not the hub.
    let work = tokio::spawn(process(hub.clone(), claimed.clone()));
    match work.await.map_err(anyhow::Error::from) {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => put_off(hub, &claimed, problem).await?,
        Err(panic) => put_off(hub, &claimed, Problem::Ours(Error::Internal(panic))).await?,
    }
    Ok(true)
}

/// Why a delivery has not come to its end.
enum Problem {
    Fetch(FetchError),
    Malformed(forge::Malformed),
    Ours(Error),
}

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

async fn put_off(hub: &Hub, claimed: &Claimed, problem: Problem) -> Result<(), Error> {
    let (reason, may_pass) = match problem {
        Problem::Malformed(error) => (error.to_string(), false),
        Problem::Fetch(FetchError::Refused(reason)) => (reason, false),
        Problem::Fetch(FetchError::Unreachable(reason)) => (reason, true),
        Problem::Fetch(FetchError::Internal(error)) => {
            (ours(claimed, Error::Internal(error)), true)
        }
        Problem::Ours(error) => (ours(claimed, error), true),
    };
    if may_pass && claimed.attempt < ATTEMPTS {
        let seconds = 5.0 * f64::from(1 << claimed.attempt.clamp(0, 10));
        tracing::warn!(delivery.id = %claimed.id, seconds, "will be tried again: {reason}");
        deliveries::retry_later(&hub.db, claimed, seconds, &reason).await?;
    } else {
        tracing::warn!(delivery.id = %claimed.id, "delivery failed: {reason}");
        deliveries::fail(&hub.db, claimed, &reason).await?;
    }
    Ok(())
}

fn ours(claimed: &Claimed, error: Error) -> String {
    tracing::error!(delivery.id = %claimed.id, error = %crate::told(error), "not processed");
    "internal error, see the hub's log".to_owned()
}

async fn process(hub: Hub, claimed: Claimed) -> Result<(), Problem> {
    let Some(collection) = collections::by_id(&hub.db, claimed.collection).await? else {
        return Ok(());
    };
    let json =
        forge::json_of(&claimed.content_type, &claimed.payload).map_err(Problem::Malformed)?;
    let event = github::parse_event(&claimed.event, &json).map_err(Problem::Malformed)?;
    match event {
        Event::Ping => conclude(&hub, &claimed, "ping", None).await,
        Event::Ignored { reason } => conclude(&hub, &claimed, "ignored", Some(&reason)).await,
        Event::Push(push) => process_push(&hub, &claimed, collection, push).await,
    }
}

async fn process_push(
    hub: &Hub,
    claimed: &Claimed,
    collection: Collection,
    push: Push,
) -> Result<(), Problem> {
    let told = &push.repository;
    let branch = told.default_branch.as_deref();
    collections::learn(&hub.db, collection.id, told.id, branch).await?;
    let is_tag = push.git_ref.starts_with("refs/tags/");
    if !is_tag && !push.git_ref.starts_with("refs/heads/") || !is_ref(&push.git_ref) {
        let reason = format!("{} is neither a branch nor a tag", push.git_ref);
        return conclude(hub, claimed, "ignored", Some(&reason)).await;
    }
    if push.deleted {
        let verdict = if is_tag {
            "tag deleted"
        } else {
            "branch deleted"
        };
        return conclude(hub, claimed, verdict, None).await;
    }
    if let Some(reason) = outdated(&hub.db, collection.id, claimed, &push.git_ref).await? {
        return conclude(hub, claimed, "superseded", Some(&reason)).await;
    }
    let source = Source::of(hub, &collection);
    let default_branch = match branch.map(ToOwned::to_owned).or(collection.default_branch) {
        Some(branch) => Some(branch),
        None => source
            .clone()
            .default_branch()
            .await
            .map_err(Problem::Fetch)?,
    };
    let snapshot = source
        .at_object(push.git_ref, push.after)
        .await
        .map_err(Problem::Fetch)?;
    let origin = Origin {
        collection: collection.id,
        delivery: Some(claimed.id),
        default_branch,
        step_cache: StepCache::On,
    };
    queue(hub, claimed, &origin, &snapshot).await
}

/// Why nothing is built of a push: a later one to the same ref was.
async fn outdated(
    db: impl PgExecutor<'_>,
    collection: CollectionId,
    claimed: &Claimed,
    git_ref: &str,
) -> sqlx::Result<Option<String>> {
    let received = claimed.received_at;
    let newer = builds::newer_push_was_built(db, collection, git_ref, received).await?;
    Ok(newer.then(|| format!("a later push to {git_ref} was built already")))
}

fn is_ref(name: &str) -> bool {
    git2::Reference::is_valid_name(name)
}

async fn queue(
    hub: &Hub,
    claimed: &Claimed,
    origin: &Origin,
    snapshot: &Snapshot,
) -> Result<(), Problem> {
    let mut tx = hub.db.begin().await?;
    // Two deliveries of one moment can be processed at once: the one with the earlier time may have
    // been stored after the other was begun.
    collections::lock(&mut tx, origin.collection).await?;
    if let Some(reason) = outdated(&mut *tx, origin.collection, claimed, &snapshot.git_ref).await? {
        complete(&mut tx, claimed, "superseded", Some(&reason)).await?;
        return Ok(tx.commit().await?);
    }
    let last = builds::last_by_recipe(&mut *tx, origin.collection, &snapshot.git_ref).await?;
    let mut planned = plan::changed(origin, snapshot, &last);
    let mut retagged = Vec::new();
    if snapshot.git_ref.starts_with("refs/tags/") {
        (retagged, planned) = split_built(&mut tx, planned).await?;
    }
    for (build, image) in &retagged {
        for tag in std::iter::once(&build.tag).chain(&build.aliases) {
            tags::point(&mut tx, build.collection, tag.as_str(), *image).await?;
        }
    }
    for build in &planned {
        builds::enqueue(&mut tx, build).await?;
    }
    let verdict = verdict(snapshot, planned.len(), retagged.len());
    let reason = (!snapshot.skipped.is_empty()).then(|| snapshot.skipped.join("; "));
    complete(&mut tx, claimed, &verdict, reason.as_deref()).await?;
    tx.commit().await?;
    tracing::info!(delivery.id = %claimed.id, commit = snapshot.commit, "{verdict}");
    Ok(())
}

/// Takes out the builds whose image is there, because the commit was built when it was pushed
/// to a branch.
async fn split_built(
    db: &mut PgConnection,
    planned: Vec<NewBuild>,
) -> Result<(Vec<(NewBuild, cooperage_protocol::ImageId)>, Vec<NewBuild>), Error> {
    let (mut built, mut unbuilt) = (Vec::new(), Vec::new());
    for build in planned {
        let (commit, recipe) = (&build.commit, &build.recipe);
        match images::of_recipe_at_commit(&mut *db, build.collection, commit, recipe).await? {
            Some(image) => built.push((build, image)),
            None => unbuilt.push(build),
        }
    }
    Ok((built, unbuilt))
}

fn verdict(snapshot: &Snapshot, queued: usize, retagged: usize) -> String {
    let recipes = |count: usize| {
        if count == 1 {
            "1 recipe".to_owned()
        } else {
            format!("{count} recipes")
        }
    };
    match (queued, retagged) {
        (0, 0) if snapshot.recipes.is_empty() => "no recipe found".to_owned(),
        (0, 0) => "no recipe changed".to_owned(),
        (queued, 0) => format!("built {}", recipes(queued)),
        (0, retagged) => format!("tagged {}", recipes(retagged)),
        (queued, retagged) => {
            format!("built {}, tagged {}", recipes(queued), recipes(retagged))
        }
    }
}

async fn conclude(
    hub: &Hub,
    claimed: &Claimed,
    verdict: &str,
    reason: Option<&str>,
) -> Result<(), Problem> {
    let mut db = hub.db.acquire().await?;
    Ok(complete(&mut db, claimed, verdict, reason).await?)
}

/// An error, and with it the end of the transaction, when a later attempt has taken over.
async fn complete(
    db: &mut PgConnection,
    claimed: &Claimed,
    verdict: &str,
    reason: Option<&str>,
) -> Result<(), Error> {
    if deliveries::complete(db, claimed, verdict, reason).await? {
        return Ok(());
    }
    let taken_over = "a later attempt has taken the delivery over";
    Err(Error::Conflict(taken_over.to_owned()))
}
