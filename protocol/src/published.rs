//! What a hub tells of images, tags, deliveries and phases.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::image::ImageFacts;
use crate::{BuildId, BuildState, CollectionName, DeliveryId, Digest, Tag};

/// An image in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// The collection it belongs to.
    pub collection: CollectionName,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// MD5 of the file, which old clients ask by.
    pub md5: String,
    /// Size in bytes.
    pub size: u64,
    /// The tags that point at it now.
    pub tags: Vec<Tag>,
    /// When it was published.
    pub created_at: DateTime<Utc>,
    /// How often the file was pulled: downloads from its beginning on, by any protocol.
    #[serde(default)]
    pub pulls: u64,
    /// Where the file is: a path of this hub.
    pub download: String,
}

/// An image, and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageDetail {
    /// What a list says of it.
    #[serde(flatten)]
    pub image: Image,
    /// Its definition, labels, environment and scripts.
    pub facts: ImageFacts,
}

/// A tag, and the image that it points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaggedImage {
    /// The tag.
    pub tag: Tag,
    /// SHA-256 of the image's file.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// When the tag was moved to it.
    pub moved_at: DateTime<Utc>,
}

/// What a forge sent, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// Its id here.
    pub id: DeliveryId,
    /// Its id at the forge.
    pub forge_id: String,
    /// What it tells of.
    pub event: String,
    /// `received`, `processing`, `done`, `failed` or `rejected`.
    pub state: String,
    /// What came of it, in a word.
    pub verdict: Option<String>,
    /// Why, in a sentence.
    pub reason: Option<String>,
    /// How often the forge sent it again.
    pub redeliveries: i32,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// The builds it made.
    pub builds: Vec<DeliveredBuild>,
}

/// A build that a delivery made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveredBuild {
    /// Its id.
    pub id: BuildId,
    /// The tag its image gets.
    pub tag: Tag,
    /// Where it stands.
    pub state: BuildState,
}

/// A phase of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Phase {
    /// Which attempt, from 1.
    pub attempt: i32,
    /// Its short name.
    pub name: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}
