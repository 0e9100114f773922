//! The calls of the administrator's command line, JSON both ways.
//! All of them carry `Authorization: Bearer TOKEN` with the administrator's token.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /api/collections` | [`NewCollection`] | 201 [`AddedCollection`]; 409 when the name is taken |
//! | `GET /api/collections` | – | 200 array of [`Collection`] |
//! | `PATCH /api/collections/{owner}/{repo}` | [`CollectionChange`] | 200 [`Collection`] |
//! | `DELETE /api/collections/{owner}/{repo}` | – | 204 |
//! | `GET /api/collections/{owner}/{repo}/credentials` | – | 200 array of [`Credential`] |
//! | `POST /api/collections/{owner}/{repo}/credentials` | [`NewCredential`] | 204; in place of the one for the same registry |
//! | `DELETE /api/collections/{owner}/{repo}/credentials/{registry}` | – | 204 |
//! | `POST /api/collections/{owner}/{repo}/checks` | [`NewCheck`] | 202 [`RegistryCheck`](crate::RegistryCheck) |
//! | `GET /api/collections/{owner}/{repo}/checks/{id}` | – | 200 [`RegistryCheck`](crate::RegistryCheck) |
//! | `POST /api/collections/{owner}/{repo}/builds` | [`BuildOnDemand`] | 202 array of [`Build`] |
//! | `GET /api/builds?collection=OWNER/REPO&limit=N` | – | 200 array of [`Build`], newest first |
//! | `GET /api/builds/{id}` | – | 200 [`Build`] |
//! | `POST /api/builds/{id}/cancel` | – | 202 [`Build`] |
//! | `GET /api/builds/{id}/log` | – | 200 `text/plain`; ranges by `?offset=BYTES` |
//! | `GET /builds/{id}/events` | – | `text/event-stream`: `log` (id = byte offset after it, data = JSON string), `state` |
//! | `POST /api/workers` | [`NewWorker`] | 201 [`AddedWorker`] |
//! | `GET /api/workers` | – | 200 array of [`Worker`] |
//! | `POST /api/deliveries/{id}/replay` | – | 202 |
//! | `GET /api/store` | – | 200 [`StoreUsage`] |
//! | `POST /api/store/clean` | [`Clean`] | 200 [`Cleaned`] |
//!
//! Errors are RFC 9457 `application/problem+json`: [`Problem`].

use std::num::NonZeroU16;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    BuildId, BuildState, CollectionName, Diagnostic, Digest, Failure, Mode, Password, Tag,
    Visibility,
};

/// Connects a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCollection {
    /// Where to clone from: `https://…`, `http://…`, or an absolute path on the hub's machine.
    pub clone_url: String,
    /// The name it will have here.
    pub name: CollectionName,
    /// How many of its builds may run at the same time; the hub's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_running: Option<NonZeroU16>,
    /// Which grammar its definitions are read with.
    #[serde(default)]
    pub mode: Mode,
}

/// Changes settings of a collection; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionChange {
    /// How many of its builds may run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_running: Option<NonZeroU16>,
    /// Which grammar its definitions are read with, from the next build on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Who sees it without a role in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// A repository was connected: what to enter at the forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedCollection {
    /// The collection's name.
    pub name: CollectionName,
    /// The payload URL of the webhook.
    pub webhook_url: String,
    /// The secret of the webhook; shown once.
    pub secret: String,
}

/// Sets an account of a collection for a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCredential {
    /// The registry's host, with its port if it has one.
    pub registry: String,
    /// The user name.
    pub username: String,
    /// The password or token; never told again.
    pub password: Password,
}

/// An account of a collection for a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The registry's host, with its port if it has one.
    pub registry: String,
    /// The user name.
    pub username: String,
    /// When it was set.
    pub changed_at: DateTime<Utc>,
}

/// Asks whether an image can be had with a collection's accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCheck {
    /// The image: `docker://…`, `oras://…`, or a reference alone.
    pub uri: String,
}

/// A collection in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// Its name.
    pub name: CollectionName,
    /// Where it is cloned from.
    pub clone_url: String,
    /// Which grammar its definitions are read with.
    #[serde(default)]
    pub mode: Mode,
    /// Who sees it without a role in it.
    #[serde(default)]
    pub visibility: Visibility,
    /// Tags that point at an image.
    pub tags: Vec<Tag>,
    /// Time of the newest image.
    pub updated_at: Option<DateTime<Utc>>,
}

/// Asks for builds without a push.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildOnDemand {
    /// A branch, a tag or a full commit; the default branch when absent.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A build in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its id.
    pub id: BuildId,
    /// The collection it belongs to.
    pub collection: CollectionName,
    /// Path of the definition file in the repository.
    pub recipe: String,
    /// The tag its image gets.
    pub tag: Tag,
    /// The commit in hex.
    pub commit: String,
    /// Where it stands.
    pub state: BuildState,
    /// Which attempt, from 1; 0 before the first.
    pub attempt: i32,
    /// Why it has no image, when it failed or was cancelled.
    pub failure: Option<Failure>,
    /// What its last attempt told of the definition, in the order of lines.
    #[serde(default)]
    pub diagnostics: Vec<Diagnostic>,
    /// Its image, when it succeeded.
    pub image: Option<BuiltImage>,
    /// When it was queued.
    pub queued_at: DateTime<Utc>,
    /// When its last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The image of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltImage {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// Registers a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewWorker {
    /// A name for people, unique.
    pub name: String,
}

/// A worker was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedWorker {
    /// Its name.
    pub name: String,
    /// Its bearer token; shown once.
    pub token: String,
}

/// A worker in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// When it last called.
    pub seen_at: Option<DateTime<Utc>>,
    /// The builds it has now.
    pub builds: Vec<BuildId>,
}

/// What the images take on the hub's disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreUsage {
    /// How many images there are.
    pub images: u64,
    /// Their bytes, each image as if it shared nothing.
    pub image_bytes: u64,
    /// How many objects they are made of, with those that nothing needs any more.
    pub objects: u64,
    /// What these take.
    pub object_bytes: u64,
    /// How many objects nothing needs, as far as was seen.
    pub unused_objects: u64,
    /// What these take.
    pub unused_bytes: u64,
}

/// Removes objects that nothing needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clean {
    /// How long nothing must have needed them, in minutes; the hub's setting when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_minutes: Option<u64>,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleaned {
    /// How many objects.
    pub objects: u64,
    /// What they took.
    pub bytes: u64,
}

/// An error, RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What went wrong and what would be right.
    pub detail: String,
}
