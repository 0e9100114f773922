//! How does somebody have a definition built that lies in no repository? It becomes a commit of a
//! collection, and its build one of the queue: `singularity build --remote`.
//!
//! The collection is the one that the destination names, or else one of the account's own, whose
//! images go after some days.

pub(crate) mod contexts;

use std::path::PathBuf;
use std::time::Duration;

use cooperage_protocol::{BuildId, CollectionId, CollectionName, Digest, Scope, StepCache, Tag};

use crate::collections::check_name;
use crate::db::builds::{self, NewBuild};
use crate::db::{collections, images, rights, workers};
use crate::error::Error;
use crate::rights::{Action, Caller, Person, may};
use crate::scan::Source;
use crate::scan::submission::{BuildContext, Submission};
use crate::state::Hub;
use crate::workers::random_hex;

/// The repository of the collection that has an account's remote builds.
const OWN: &str = "remote-builds";

/// What somebody wants built.
#[derive(Debug)]
pub(crate) struct Wish {
    /// The text of the definition.
    pub(crate) definition: Vec<u8>,
    /// Where the image goes.
    pub(crate) destination: Option<Destination>,
    /// Go's name of the architecture.
    pub(crate) architecture: Option<String>,
    /// The files that the definition copies, which were sent before.
    pub(crate) context: Option<Digest>,
    /// Where relative paths start among them.
    pub(crate) folder: PathBuf,
}

/// Where an image goes.
#[derive(Debug)]
pub(crate) struct Destination {
    /// The collection.
    pub(crate) collection: CollectionName,
    /// The tag, and others.
    pub(crate) tags: (Tag, Vec<Tag>),
}

/// Queues a build of what somebody sent.
pub(crate) async fn submit(hub: &Hub, caller: &Caller, wish: Wish) -> Result<BuildId, Error> {
    let person = builder(hub, caller)?;
    check_architecture(hub, wish.architecture.as_deref()).await?;
    let archive = match wish.context {
        Some(digest) => Some(contexts::find(hub, person.id, digest).await?),
        None => None,
    };
    let id = BuildId::generate();
    let (collection, (tag, aliases)) = match wish.destination {
        Some(to) => (named(hub, caller, &to.collection).await?, to.tags),
        None => (own(hub, person).await?, (own_tag(id)?, Vec::new())),
    };

    let row = collections::by_id(&hub.db, collection).await?;
    let row = row.ok_or_else(|| Error::NotFound("the collection is no longer here".to_owned()))?;
    let submission = Submission {
        build: id,
        author: person.name.clone(),
        definition: wish.definition,
        context: archive.map(|archive| BuildContext {
            archive,
            folder: wish.folder,
        }),
    };
    let submitted = Source::of(hub, &row).submit(submission).await?;
    let build = NewBuild {
        id,
        collection,
        delivery: None,
        recipe: submitted.recipe,
        recipe_blob: submitted.recipe_blob,
        commit: submitted.commit,
        commit_time: submitted.commit_time,
        git_ref: format!("remote-builds/{id}"),
        tag,
        aliases,
        tag_note: None,
        step_cache: StepCache::On,
        architecture: wish.architecture,
    };
    let mut tx = hub.db.begin().await?;
    builds::enqueue(&mut tx, &build).await?;
    tx.commit().await?;
    tracing::info!(build.id = %id, user.id = %person.id, "queued a remote build of {}", row.name);
    Ok(id)
}

/// Who may have something built at all.
pub(crate) fn builder<'a>(hub: &Hub, caller: &'a Caller) -> Result<&'a Person, Error> {
    let person = caller.person().ok_or(Error::Unauthorized(
        "a remote build needs an account: log in",
    ))?;
    if !person.has(Scope::Build) {
        return Err(Error::Forbidden(
            "a remote build needs a token with the scope build",
        ));
    }
    if !hub.config.remote_builds.allowed {
        return Err(Error::Forbidden(
            "the setting remote_builds.allowed of this hub is false",
        ));
    }
    Ok(person)
}

/// Removes images that were built for nobody but who asked, once they are so old.
pub(crate) async fn expire(hub: &Hub) -> Result<(), Error> {
    let days = hub.config.remote_builds.keep_days;
    let age = Duration::from_secs(days.saturating_mul(86_400));
    let removed = images::expire_remote_builds(&hub.db, age.as_secs_f64()).await?;
    if removed > 0 {
        tracing::info!("removed {removed} images of remote builds after {days} days");
    }
    contexts::expire(hub).await
}

async fn check_architecture(hub: &Hub, wanted: Option<&str>) -> Result<(), Error> {
    let known = workers::architectures(&hub.db).await?;
    match wanted {
        Some(wanted) if !known.is_empty() && !known.iter().any(|it| it == wanted) => {
            Err(Error::Unprocessable(format!(
                "no worker of this hub builds for {wanted}, only for {}",
                known.join(", ")
            )))
        }
        _ => Ok(()),
    }
}

/// The collection of a destination, if the caller may build in it.
async fn named(hub: &Hub, caller: &Caller, name: &CollectionName) -> Result<CollectionId, Error> {
    let person = caller.person().map(|person| person.id);
    let found = rights::of_collection(&hub.db, name, person).await?;
    let found = found.filter(|found| may(caller, Action::Read, found));
    let found = found.ok_or_else(|| Error::NotFound(format!("there is no collection {name}")))?;
    if !may(caller, Action::Build, &found) {
        return Err(Error::Forbidden(Action::Build.refusal()));
    }
    Ok(found.id)
}

/// The collection of somebody's remote builds, which is made when it is needed first.
async fn own(hub: &Hub, person: &Person) -> Result<CollectionId, Error> {
    if let Some(id) = collections::of_remote_builds(&hub.db, person.id).await? {
        return Ok(id);
    }
    let name = format!("{}/{OWN}", person.name);
    let elsewhere = "name a collection as the destination: library://owner/repo/repo:tag";
    let name: CollectionName = name
        .parse()
        .map_err(|error| Error::Unprocessable(format!("{error}; {elsewhere}")))?;
    check_name(&name)?;
    let mut tx = hub.db.begin().await?;
    let secret = random_hex();
    if !collections::insert_for_remote_builds(&mut tx, &name, person.id, &secret).await? {
        return Err(Error::Conflict(format!(
            "{name} is a collection of somebody else; {elsewhere}"
        )));
    }
    tx.commit().await?;
    let made = collections::of_remote_builds(&hub.db, person.id).await?;
    made.ok_or_else(|| Error::Internal(anyhow::anyhow!("{name} was made, and is not there")))
}

/// A tag that no other build has.
fn own_tag(id: BuildId) -> Result<Tag, Error> {
    let tag = format!("rb-{}", id.0.simple()).parse();
    Ok(tag.map_err(anyhow::Error::from)?)
}
