//! The calls of a worker. All of them carry `Authorization: Bearer TOKEN`.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /worker/claim` | [`Claim`] | 200 [`Work`], or 204 when there was nothing for `wait_seconds` |
//! | `POST /worker/builds/{id}/{attempt}/heartbeat` | – | 200 [`Lease`] |
//! | `PUT /worker/builds/{id}/{attempt}/log/{number}` | bytes of the log | 204; chunks count from 0, repeating one is harmless |
//! | `POST /worker/builds/{id}/{attempt}/phases` | [`PhaseStarted`] | 204 |
//! | `PUT /worker/builds/{id}/{attempt}/diagnostics` | array of [`Diagnostic`](crate::Diagnostic) | 204; all that are known so far, in place of what was told before |
//! | `GET /worker/builds/{id}/{attempt}/context` | – | 200 tar of the repository at the commit |
//! | `POST /worker/builds/{id}/{attempt}/objects` | [`Offer`] | 200 [`Missing`] |
//! | `PUT /worker/builds/{id}/{attempt}/objects/{digest}?offset=N` | bytes of the object from N on | 201; 202 when more have to come; 416 when the hub has not N bytes of it; 422 when the digest is another |
//! | `POST /worker/builds/{id}/{attempt}/finish` | [`Outcome`] | 204 |
//! | `POST /worker/builds/{id}/{attempt}/release` | – | 204; the build is queued again and the attempt does not count |
//! | `PUT /worker/checks/{id}/steps` | array of [`Step`](crate::check::Step) | 204; 409 when it is too late |
//!
//! A call for an attempt whose lease is lost is answered 409: the worker stops that build.

use serde::{Deserialize, Serialize};

use crate::image::{ImageFacts, Layout};
use crate::{BuildId, CheckId, CollectionName, Digest, Failure, Mode, Password, StepCache, Tag};

/// Asks for work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// How long the hub may wait for a build before it answers 204, in seconds, at most 60.
    pub wait_seconds: u64,
    /// Architecture of the worker in Go's spelling.
    pub architecture: String,
    /// Version of the worker's program.
    pub version: String,
    /// What it can do besides building; a worker that does not say so only builds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abilities: Vec<Ability>,
}

/// What a worker can do besides building.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ability {
    /// It checks whether images can be had.
    Check,
    /// Something that this hub does not know of.
    #[serde(other)]
    Unknown,
}

/// Something given to a worker. Without a tag, so that a build is the same JSON for workers that
/// know of nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Work {
    /// A build.
    Build(Box<Assignment>),
    /// A check.
    Check(CheckAssignment),
}

/// A check given to a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckAssignment {
    /// The check.
    pub check: CheckId,
    /// The collection it is for.
    pub collection: CollectionName,
    /// The image: `docker://…`, `oras://…`, or a reference alone.
    pub uri: String,
    /// Accounts of the collection, each for its registry and no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<RegistryAccount>,
    /// How long the hub waits for the steps, in seconds.
    pub seconds: u64,
}

/// A build given to a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The build.
    pub build: BuildId,
    /// Which attempt this is, from 1. Every later call carries it.
    pub attempt: i32,
    /// The lease to keep alive with heartbeats.
    pub lease: Lease,
    /// The collection it belongs to.
    pub collection: CollectionName,
    /// The tag the image will get.
    pub tag: Tag,
    /// The commit, in hex.
    pub commit: String,
    /// Committer time of the commit, seconds since 1970: the time of reproducible builds.
    pub commit_time: i64,
    /// Path of the definition file in the repository, slashes between folders.
    pub recipe: String,
    /// Which grammar of definitions the collection is built with.
    #[serde(default)]
    pub mode: Mode,
    /// Whether what scripts and files made before may be taken.
    #[serde(default, skip_serializing_if = "StepCache::is_on")]
    pub step_cache: StepCache,
    /// Accounts of the collection, each for its registry and no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<RegistryAccount>,
    /// Limits of this build.
    pub limits: Limits,
}

/// An account for one registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryAccount {
    /// The registry's host, with its port if it has one.
    pub registry: String,
    /// The user name.
    pub username: String,
    /// The password or token.
    pub password: Password,
}

/// How long the worker has the build, and whether it should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Seconds from now until the lease ends unless renewed.
    pub seconds: u64,
    /// Somebody asked to cancel the build.
    pub cancel: bool,
}

/// What a build may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall-clock time of the whole build, in seconds.
    pub seconds: u64,
    /// Memory of the scripts, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads of the scripts at the same time.
    pub processes: u64,
    /// Disk that the build may fill, in bytes.
    pub disk_bytes: u64,
    /// Log that is kept, in bytes: what is over is cut from the middle.
    pub log_bytes: u64,
}

/// A phase of the build has begun (and the one before it has ended).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseStarted {
    /// Short name: `fetch`, `pre`, `base`, `setup`, `files`, `post`, `step` (in place of these three,
    /// when what they made is taken from the step cache), `metadata`, `test`, `pack`, `upload`.
    pub name: String,
}

/// The objects that the image of the build is made of. Only these can be sent; offering again
/// replaces the list, and tells where a broken upload goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// All of them, each once.
    pub objects: Vec<OfferedObject>,
}

/// An object that the worker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedObject {
    /// Its SHA-256.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// What the hub needs of an offer: the build may use the other objects without sending them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// In the order of the offer.
    pub objects: Vec<MissingObject>,
}

/// An object that has to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingObject {
    /// Its SHA-256.
    pub digest: Digest,
    /// How many of its first bytes the hub has already: the rest is sent.
    pub received: u64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Outcome {
    /// The image is complete and all its objects are uploaded.
    Succeeded(Box<FinishedImage>),
    /// No image.
    Failed(Failure),
}

/// An image to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedImage {
    /// SHA-256 of the whole image.
    pub digest: Digest,
    /// MD5 of the whole image in hex: the `version` of the `shub://` manifest.
    pub md5: String,
    /// Its pieces; their sizes add up to the image's.
    pub layout: Layout,
    /// What its page shows.
    pub facts: ImageFacts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_says_nothing_of_its_abilities_only_builds() {
        let claim = r#"{"wait_seconds":1,"architecture":"amd64","version":"0"}"#;
        let claim: Claim = serde_json::from_str(claim).unwrap();
        let abilities: Vec<Ability> = serde_json::from_str(r#"["check","fly"]"#).unwrap();

        assert!(claim.abilities.is_empty());
        assert_eq!(abilities, [Ability::Check, Ability::Unknown]);
    }

    #[test]
    fn a_check_is_told_from_a_build() {
        let check = CheckAssignment {
            check: CheckId::generate(),
            collection: "lab/tool".parse().unwrap(),
            uri: "docker://ghcr.io/lab/base".to_owned(),
            accounts: Vec::new(),
            seconds: 60,
        };

        let work: Work = serde_json::from_str(&serde_json::to_string(&check).unwrap()).unwrap();

        assert_eq!(work, Work::Check(check));
    }
}
