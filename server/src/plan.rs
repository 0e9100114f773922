//! Which builds does a snapshot of a repository call for?

use std::collections::HashMap;

use cooperage_protocol::{BuildId, CollectionId, DeliveryId, StepCache};

use crate::db::builds::{LastBuild, NewBuild};
use crate::scan::Snapshot;
use crate::scan::tags::{self, Place};

/// For whom builds are planned.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The collection.
    pub(crate) collection: CollectionId,
    /// The webhook that asked for them; none when a person did.
    pub(crate) delivery: Option<DeliveryId>,
    /// The branch whose images have plain tags.
    pub(crate) default_branch: Option<String>,
    /// Whether they may take what scripts and files made before.
    pub(crate) step_cache: StepCache,
}

/// A build of every recipe.
pub(crate) fn all(origin: &Origin, snapshot: &Snapshot) -> Vec<NewBuild> {
    let place = Place::of(&snapshot.git_ref, origin.default_branch.as_deref());
    let paths: Vec<&str> = snapshot
        .recipes
        .iter()
        .map(|recipe| recipe.path.as_str())
        .collect();
    snapshot
        .recipes
        .iter()
        .zip(tags::assign(&paths, &place))
        .map(|(recipe, assigned)| NewBuild {
            id: BuildId::generate(),
            collection: origin.collection,
            delivery: origin.delivery,
            recipe: recipe.path.clone(),
            recipe_blob: recipe.blob.clone(),
            commit: snapshot.commit.clone(),
            commit_time: snapshot.commit_time,
            git_ref: snapshot.git_ref.clone(),
            tag: assigned.tag,
            aliases: assigned.aliases,
            tag_note: assigned.note,
            step_cache: origin.step_cache,
            architecture: None,
        })
        .collect()
}

/// A build of each recipe whose content, or whose tag, is not that of its last build.
pub(crate) fn changed(
    origin: &Origin,
    snapshot: &Snapshot,
    last: &HashMap<String, LastBuild>,
) -> Vec<NewBuild> {
    let mut planned = all(origin, snapshot);
    planned.retain(|build| {
        last.get(&build.recipe).is_none_or(|last| {
            last.recipe_blob != build.recipe_blob || last.tag != build.tag.as_str()
        })
    });
    planned
}
