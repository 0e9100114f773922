//! What people and their programs ask of a hub, and what they are answered: JSON both ways.
//!
//! Which call has which body is described by the hub itself, at `/api/openapi.json`. Who asks is told
//! by `Authorization: Bearer TOKEN`.
//!
//! Errors are RFC 9457 `application/problem+json`: [`Problem`].

use std::num::NonZeroU16;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    BuildId, BuildState, CollectionName, Diagnostic, Digest, Failure, Mode, Password, StepCache,
    Tag, Visibility,
};

/// Connects a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewCollection {
    /// Where to clone from: `https://…`, `http://…`, or an absolute path on the hub's machine.
    #[schema(pattern = "^(https?://|/|file:///)")]
    pub clone_url: String,
    /// The name it will have here.
    pub name: CollectionName,
    /// How many of its builds may run at the same time; the hub's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u16>, minimum = 1)]
    pub max_running: Option<NonZeroU16>,
    /// Which grammar its definitions are read with.
    #[serde(default)]
    pub mode: Mode,
    /// Whether its builds may take what scripts and files made before.
    #[serde(default, skip_serializing_if = "StepCache::is_on")]
    pub step_cache: StepCache,
}

/// Changes settings of a collection; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CollectionChange {
    /// How many of its builds may run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u16>, minimum = 1)]
    pub max_running: Option<NonZeroU16>,
    /// Which grammar its definitions are read with, from the next build on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Whether its builds may take what scripts and files made before, from the next build on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_cache: Option<StepCache>,
    /// Who sees it without a role in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// A repository was connected: what to enter at the forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddedCollection {
    /// The collection's name.
    pub name: CollectionName,
    /// The payload URL of the webhook.
    pub webhook_url: String,
    /// The secret of the webhook; shown once.
    pub secret: String,
}

/// Sets an account of a collection for a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewCredential {
    /// The registry's host, with its port if it has one.
    #[schema(pattern = r"^[A-Za-z0-9.:\[\]-]{1,255}$")]
    pub registry: String,
    /// The user name.
    #[schema(min_length = 1, max_length = 4096)]
    pub username: String,
    /// The password or token; never told again.
    pub password: Password,
}

/// An account of a collection for a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Credential {
    /// The registry's host, with its port if it has one.
    pub registry: String,
    /// The user name.
    pub username: String,
    /// When it was set.
    pub changed_at: DateTime<Utc>,
}

/// Asks whether an image can be had with a collection's accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewCheck {
    /// The image: `docker://…`, `oras://…`, or a reference alone.
    pub uri: String,
}

/// A collection in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Collection {
    /// Its name.
    pub name: CollectionName,
    /// Where it is cloned from.
    pub clone_url: String,
    /// Which grammar its definitions are read with.
    #[serde(default)]
    pub mode: Mode,
    /// Whether its builds may take what scripts and files made before.
    #[serde(default)]
    pub step_cache: StepCache,
    /// Who sees it without a role in it.
    #[serde(default)]
    pub visibility: Visibility,
    /// Tags that point at an image.
    pub tags: Vec<Tag>,
    /// Time of the newest image.
    pub updated_at: Option<DateTime<Utc>>,
    /// How often its images were pulled, also those that are gone.
    #[serde(default)]
    pub pulls: u64,
}

/// Asks for builds without a push.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildOnDemand {
    /// A branch, a tag or a full commit; the default branch when absent.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Whether these builds may take what scripts and files made before; `on` does not outdo a
    /// collection where it is `off`.
    #[serde(default, skip_serializing_if = "StepCache::is_on")]
    pub step_cache: StepCache,
}

/// A build in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// Whether it was asked for with or without the step cache; the collection's switch counts as
    /// well.
    #[serde(default)]
    pub step_cache: StepCache,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuiltImage {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// Registers a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewWorker {
    /// A name for people, unique.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
}

/// A worker was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddedWorker {
    /// Its name.
    pub name: String,
    /// Its bearer token; shown once.
    pub token: String,
}

/// A worker in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// When it last called.
    pub seen_at: Option<DateTime<Utc>>,
    /// The builds it has now.
    pub builds: Vec<BuildId>,
}

/// What the images take on the hub's disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Clean {
    /// How long nothing must have needed them, in minutes; the hub's setting when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_minutes: Option<u64>,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cleaned {
    /// How many objects.
    pub objects: u64,
    /// What they took.
    pub bytes: u64,
}

/// Reads objects of the store again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckStore {
    /// Where to go on: what [`CheckedStore::next`] said; at the first object when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
}

/// What was read of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckedStore {
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are not what they should be.
    pub damaged: Vec<DamagedObject>,
    /// The last one that was read, if there are more: go on after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Digest>,
}

/// An object that is not what it should be. It is not served any more; a build whose image has a piece
/// of it sends it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DamagedObject {
    /// The SHA-256 that it should have.
    pub digest: Digest,
    /// What is wrong.
    pub damage: Damage,
    /// The images that need it.
    pub images: Vec<ImageInNeed>,
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Damage {
    /// It has no file.
    Missing,
    /// Its file has other bytes; it was laid aside.
    Changed,
}

/// An image that needs a damaged object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageInNeed {
    /// Its collection.
    pub collection: CollectionName,
    /// Its digest.
    pub digest: Digest,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// A key of `OpenPGP` that the hub's keystore has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Its fingerprint, in 40 capital digits.
    pub fingerprint: String,
    /// Whose it says it is; nobody checks that.
    pub user_ids: Vec<String>,
    /// What the hub does with it.
    pub usage: KeyUse,
    /// The account that added it, if it is still there.
    pub added_by: Option<String>,
    /// When it was made or added.
    pub added_at: DateTime<Utc>,
}

/// What the hub does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyUse {
    /// It signs what is built.
    Signs,
    /// It signed what was built.
    Signed,
    /// It hands out what somebody added.
    Added,
}

/// An error, RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What went wrong and what would be right.
    pub detail: String,
}
