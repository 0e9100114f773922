//! Which recipes does a repository have at a commit?
//!
//! [`fetch`] brings the commit over [`transport`], [`recipes`] finds the definition files in its
//! tree, [`tags`] names their images, [`context`] sends the tree to a worker. [`submission`] makes a
//! commit of what nobody pushed.

pub mod context;
pub mod fetch;
pub mod recipes;
pub(crate) mod submission;
pub mod tags;
mod transport;
mod tree;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use cooperage_protocol::CollectionId;
use git2::{Commit, Oid};

use crate::config::FetchLimits;
use crate::db::collections::Collection;
use crate::state::Hub;
use fetch::{FetchError, Mirror};
use recipes::Recipe;

/// Where a repository is, and where its objects are kept here.
#[derive(Debug, Clone)]
pub struct Source {
    /// Folder of the bare repositories of all collections.
    pub repositories: PathBuf,
    /// The collection.
    pub collection: CollectionId,
    /// Where to clone from.
    pub clone_url: String,
    /// What a fetch may use.
    pub limits: FetchLimits,
}

/// What was found at a commit.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The branch or tag of git, in full.
    pub git_ref: String,
    /// The commit, in hex.
    pub commit: String,
    /// Its committer time.
    pub commit_time: DateTime<Utc>,
    /// Every definition file.
    pub recipes: Vec<Recipe>,
    /// Definition files that are not built, with the reason.
    pub skipped: Vec<String>,
    /// The branch that the remote shows first, where it was asked.
    pub default_branch: Option<String>,
}

impl Source {
    /// The repository of a collection of this hub.
    pub fn of(hub: &Hub, collection: &Collection) -> Self {
        Self {
            repositories: hub.config.repositories(),
            collection: collection.id,
            clone_url: collection.clone_url.clone(),
            limits: hub.config.fetch.clone(),
        }
    }

    /// Reads what `git_ref` was at when it named `object`, fetching it when needed.
    pub async fn at_object(self, git_ref: String, object: String) -> Result<Snapshot, FetchError> {
        blocking(move || {
            let oid = fetch::parse_oid(&object)?;
            let mirror = Mirror::open(&self)?;
            mirror.fetch(oid, &git_ref)?;
            snapshot(&mirror, git_ref, &mirror.commit(oid)?)
        })
        .await
    }

    /// Reads what a branch, a tag, a commit or the default branch is at now.
    pub async fn at_reference(self, reference: Option<String>) -> Result<Snapshot, FetchError> {
        blocking(move || {
            let mirror = Mirror::open(&self)?;
            let resolved = mirror.resolve(reference.as_deref())?;
            mirror.fetch(resolved.object, &resolved.git_ref)?;
            let commit = mirror.commit(resolved.object)?;
            let mut snapshot = snapshot(&mirror, resolved.git_ref, &commit)?;
            snapshot.default_branch = resolved.default_branch;
            Ok(snapshot)
        })
        .await
    }

    /// Brings a commit here unless it is here, and makes sure that it can be sent.
    pub async fn ensure(self, git_ref: String, object: String) -> Result<(), FetchError> {
        blocking(move || {
            let oid: Oid = fetch::parse_oid(&object)?;
            let mirror = Mirror::open(&self)?;
            mirror.fetch(oid, &git_ref)?;
            let most_bytes = self.limits.size_mib.saturating_mul(1 << 20);
            tree::check_sizes(mirror.repository(), &mirror.commit(oid)?, most_bytes)
        })
        .await
    }

    /// The branch that the remote shows first.
    pub async fn default_branch(self) -> Result<Option<String>, FetchError> {
        blocking(move || Ok(Mirror::open(&self)?.resolve(None)?.default_branch)).await
    }
}

fn snapshot(mirror: &Mirror, git_ref: String, commit: &Commit<'_>) -> Result<Snapshot, FetchError> {
    let found = recipes::find(mirror.repository(), commit)?;
    Ok(Snapshot {
        git_ref,
        commit: commit.id().to_string(),
        commit_time: DateTime::from_timestamp(commit.time().seconds(), 0).unwrap_or_default(),
        recipes: found.recipes,
        skipped: found.skipped,
        default_branch: None,
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| FetchError::Internal(anyhow::Error::from(error)))?
}
