//! What is built when a person asks, without a push?

use std::collections::HashMap;

use cooperage_protocol::admin::BuildOnDemand;
use cooperage_protocol::{BuildId, BuildState, CollectionName, DeliveryId};

use crate::collections;
use crate::db::builds::{self, LastBuild};
use crate::db::deliveries;
use crate::error::Error;
use crate::plan::{self, Origin};
use crate::scan::Source;
use crate::state::Hub;

/// Builds the recipes of a branch, a tag, a commit or the default branch: those that changed
/// since their last build or whose last build has no image; all of them when there is none such.
pub async fn build_on_demand(
    hub: &Hub,
    name: &CollectionName,
    wish: &BuildOnDemand,
) -> Result<Vec<BuildId>, Error> {
    let collection = collections::find(hub, name).await?;
    let source = Source::of(hub, &collection);
    let mut snapshot = source.at_reference(wish.reference.clone()).await?;
    if snapshot.recipes.is_empty() {
        let mut told = vec![format!(
            "there is no definition file at commit {}",
            snapshot.commit
        )];
        told.append(&mut snapshot.skipped);
        return Err(Error::Unprocessable(told.join("; ")));
    }
    let learnt = snapshot.default_branch.take().or(collection.default_branch);
    crate::db::collections::learn(&hub.db, collection.id, None, learnt.as_deref()).await?;

    let last = builds::last_by_recipe(&hub.db, collection.id, &snapshot.git_ref).await?;
    let origin = Origin {
        collection: collection.id,
        delivery: None,
        default_branch: learnt,
        step_cache: wish.step_cache,
    };
    let mut planned = plan::all(&origin, &snapshot);
    if planned
        .iter()
        .any(|build| is_due(&last, &build.recipe, &build.recipe_blob))
    {
        planned.retain(|build| is_due(&last, &build.recipe, &build.recipe_blob));
    }

    let mut tx = hub.db.begin().await?;
    for build in &planned {
        builds::enqueue(&mut tx, build).await?;
    }
    tx.commit().await?;
    Ok(planned.into_iter().map(|build| build.id).collect())
}

/// Builds what a build that has ended was to build once more.
pub(crate) async fn build_again(hub: &Hub, id: BuildId) -> Result<BuildId, Error> {
    let again = BuildId::generate();
    let mut tx = hub.db.begin().await?;
    if !builds::copy(&mut tx, id, again).await? {
        return Err(Error::Conflict(format!(
            "build {id} has not ended yet; cancel it, or wait for it"
        )));
    }
    tx.commit().await?;
    Ok(again)
}

/// Processes a delivery again that has ended.
pub async fn replay_delivery(hub: &Hub, id: DeliveryId) -> Result<(), Error> {
    if deliveries::replay(&hub.db, id).await? {
        return Ok(());
    }
    if deliveries::exists(&hub.db, id).await? {
        let why = "only a delivery that has ended and was signed can be replayed";
        return Err(Error::Conflict(why.to_owned()));
    }
    Err(Error::NotFound(format!("there is no delivery {id}")))
}

fn is_due(last: &HashMap<String, LastBuild>, recipe: &str, blob: &str) -> bool {
    last.get(recipe).is_none_or(|last| {
        let is_unbuilt = matches!(last.state, BuildState::Failed | BuildState::Cancelled);
        last.recipe_blob != blob || is_unbuilt
    })
}
