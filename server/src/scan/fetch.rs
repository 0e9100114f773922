//! How does a commit of somebody's repository come here?
//!
//! Each collection has a bare repository of its own. Nothing in it is ever checked out, so no
//! hook, filter or submodule of the repository runs here.

use std::fs::File;
use std::time::{Duration, Instant};

use git2::{
    AutotagOption, Commit, Direction, FetchOptions, ObjectType, Oid, RemoteCallbacks, Repository,
};

use super::Source;
use super::transport::{self, Budget};

/// All history: what git itself asks for with `--unshallow`.
const WHOLE_HISTORY: i32 = i32::MAX;

/// Why a commit could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It may work later.
    #[error("{0}")]
    Unreachable(String),
    /// It will not work later either.
    #[error("{0}")]
    Refused(String),
    /// Our fault.
    #[error("internal error")]
    Internal(#[from] anyhow::Error),
}

/// What a name stands for at the remote now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The branch or tag, in full, or the commit itself when no ref is at it.
    pub git_ref: String,
    /// The object it names: a commit or an annotated tag.
    pub object: Oid,
    /// The branch that the remote shows first.
    pub default_branch: Option<String>,
}

/// The bare repository of a collection.
pub struct Mirror {
    repository: Repository,
    lock: File,
    source: Source,
}

/// Reads a commit's hex.
pub fn parse_oid(hex: &str) -> Result<Oid, FetchError> {
    match hex.len() {
        40 => Oid::from_str(hex).map_err(|error| FetchError::Refused(error.message().to_owned())),
        _ => Err(FetchError::Refused(format!(
            "{hex:?} is not a commit of 40 hex digits"
        ))),
    }
}

impl Mirror {
    /// Opens the repository, making it when there is none.
    pub fn open(source: &Source) -> Result<Self, FetchError> {
        transport::register()?;
        std::fs::create_dir_all(&source.repositories).map_err(anyhow::Error::from)?;
        let lock = source
            .repositories
            .join(format!("{}.lock", source.collection));
        let lock = File::create(lock).map_err(anyhow::Error::from)?;
        lock.lock().map_err(anyhow::Error::from)?;
        let folder = source.repositories.join(source.collection.to_string());
        let repository = Repository::open_bare(&folder)
            .or_else(|_| Repository::init_bare(&folder))
            .map_err(anyhow::Error::from)?;
        lock.unlock().map_err(anyhow::Error::from)?;
        Ok(Self {
            repository,
            lock,
            source: source.clone(),
        })
    }

    /// The objects that are here.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The commit that an object is or leads to, if it is here.
    pub fn commit(&self, object: Oid) -> Result<Commit<'_>, FetchError> {
        self.repository
            .find_object(object, None)
            .and_then(|object| object.peel(ObjectType::Commit))
            .and_then(|object| object.peel_to_commit())
            .map_err(|_| FetchError::Refused(format!("there is no commit {object}")))
    }

    /// Brings an object here unless it is here: by its id where the remote allows that, else by
    /// the ref that names it or once named it.
    pub fn fetch(&self, object: Oid, git_ref: &str) -> Result<(), FetchError> {
        self.lock.lock().map_err(anyhow::Error::from)?;
        let fetched = self.fetch_locked(object, git_ref);
        self.lock.unlock().map_err(anyhow::Error::from)?;
        fetched
    }

    fn fetch_locked(&self, object: Oid, git_ref: &str) -> Result<(), FetchError> {
        if self.commit(object).is_ok() {
            return Ok(());
        }
        let kept = format!("refs/cooperage/{}", git_ref.trim_start_matches("refs/"));
        let by_id = self.download(&format!("+{object}:{kept}"), 1);
        if self.commit(object).is_ok() {
            return Ok(());
        }
        if !git_ref.starts_with("refs/") {
            by_id?;
            return Err(FetchError::Refused(format!("there is no commit {object}")));
        }
        for depth in [1, WHOLE_HISTORY] {
            self.download(&format!("+{git_ref}:{kept}"), depth)?;
            if self.commit(object).is_ok() {
                return Ok(());
            }
        }
        Err(FetchError::Refused(format!(
            "commit {object} is no longer in {git_ref}"
        )))
    }

    fn download(&self, refspec: &str, depth: i32) -> Result<(), FetchError> {
        let url = self.url()?;
        self.within_budget(|deadline| {
            let mut options = FetchOptions::new();
            options
                .download_tags(AutotagOption::None)
                .update_fetchhead(false);
            if transport::is_http(&url) {
                options.depth(depth);
            }
            options.remote_callbacks(self.callbacks(deadline));
            self.repository
                .remote_anonymous(&url)?
                .fetch(&[refspec], Some(&mut options), None)
        })
    }

    /// Asks the remote what a branch, a tag, a commit or its default branch is at.
    pub fn resolve(&self, reference: Option<&str>) -> Result<Resolved, FetchError> {
        let heads = self.list()?;
        let default_branch = heads.iter().find_map(|head| match head.name.as_str() {
            "HEAD" => head.target.clone(),
            _ => None,
        });
        let default_branch = default_branch
            .as_deref()
            .and_then(|full| full.strip_prefix("refs/heads/"))
            .map(ToOwned::to_owned);
        let (git_ref, object) = match reference {
            None => find_default(&heads, default_branch.as_deref())?,
            Some(name) => find_named(&heads, default_branch.as_deref(), name)?,
        };
        Ok(Resolved {
            git_ref,
            object,
            default_branch,
        })
    }

    fn list(&self) -> Result<Vec<Head>, FetchError> {
        let url = self.url()?;
        self.within_budget(|deadline| {
            let mut remote = self.repository.remote_anonymous(&url)?;
            let callbacks = self.callbacks(deadline);
            let connection = remote.connect_auth(Direction::Fetch, Some(callbacks), None)?;
            Ok(connection
                .list()?
                .iter()
                .map(|head| Head {
                    name: head.name().to_owned(),
                    object: head.oid(),
                    target: head.symref_target().map(ToOwned::to_owned),
                })
                .collect())
        })
    }

    fn within_budget<T>(
        &self,
        work: impl FnOnce(Instant) -> Result<T, git2::Error>,
    ) -> Result<T, FetchError> {
        let limits = &self.source.limits;
        let deadline = Instant::now() + Duration::from_secs(limits.seconds);
        let budget = Budget {
            deadline,
            bytes_left: bytes(limits.size_mib),
        };
        let (result, failure) = transport::with_budget(budget, || work(deadline));
        result.map_err(|error| match failure {
            Some(failure) => failure,
            None if Instant::now() >= deadline => transport::out_of_time(),
            None => FetchError::Unreachable(error.message().to_owned()),
        })
    }

    fn callbacks(&self, deadline: Instant) -> RemoteCallbacks<'static> {
        let most = bytes(self.source.limits.size_mib);
        let mut callbacks = RemoteCallbacks::new();
        callbacks.transfer_progress(move |progress| {
            let received = u64::try_from(progress.received_bytes()).unwrap_or(u64::MAX);
            received <= most && Instant::now() < deadline
        });
        callbacks.sideband_progress(move |_| Instant::now() < deadline);
        callbacks
    }

    fn url(&self) -> Result<String, FetchError> {
        let url = &self.source.clone_url;
        let is_local = url.starts_with('/') || url.starts_with("file://");
        match () {
            () if url.is_empty() => Err(FetchError::Refused(
                "this collection has no repository: it has what people build remotely".into(),
            )),
            () if transport::is_http(url) => Ok(url.clone()),
            () if is_local && self.source.limits.local_paths => Ok(url.clone()),
            () if is_local => Err(FetchError::Refused(
                "the setting fetch.local_paths does not allow repositories on this machine".into(),
            )),
            () => Err(FetchError::Refused(format!(
                "{url:?} is neither http, https nor a path"
            ))),
        }
    }
}

struct Head {
    name: String,
    object: Oid,
    target: Option<String>,
}

fn bytes(mib: u64) -> u64 {
    mib.saturating_mul(1 << 20)
}

fn find_default(heads: &[Head], branch: Option<&str>) -> Result<(String, Oid), FetchError> {
    let full = branch.map(|branch| format!("refs/heads/{branch}"));
    heads
        .iter()
        .find(|head| Some(&head.name) == full.as_ref())
        .map(|head| (head.name.clone(), head.object))
        .ok_or_else(|| FetchError::Refused("the repository has no default branch".to_owned()))
}

fn find_named(
    heads: &[Head],
    default_branch: Option<&str>,
    name: &str,
) -> Result<(String, Oid), FetchError> {
    for full in [
        name.to_owned(),
        format!("refs/heads/{name}"),
        format!("refs/tags/{name}"),
    ] {
        let is_ref = full.starts_with("refs/heads/") || full.starts_with("refs/tags/");
        if let Some(head) = heads.iter().find(|head| is_ref && head.name == full) {
            return Ok((full, head.object));
        }
    }
    let Ok(object) = parse_oid(name) else {
        return Err(FetchError::Refused(format!(
            "the repository has no branch, tag or full commit {name:?}"
        )));
    };
    let default_ref = default_branch.map(|branch| format!("refs/heads/{branch}"));
    let at_commit = |head: &&Head| head.object == object && head.name.starts_with("refs/heads/");
    let branch = heads
        .iter()
        .find(|head| at_commit(head) && Some(&head.name) == default_ref.as_ref())
        .or_else(|| heads.iter().find(at_commit));
    Ok((
        branch.map_or_else(|| object.to_string(), |head| head.name.clone()),
        object,
    ))
}
