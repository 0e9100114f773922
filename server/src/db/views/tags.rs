//! Reading tags.

use chrono::{DateTime, Utc};
use cooperage_protocol::CollectionName;
use sqlx::PgPool;

/// A tag and what it points at.
#[derive(Debug)]
pub struct TagRow {
    /// The tag.
    pub name: String,
    /// SHA-256 of the image's file.
    pub digest: String,
    /// Size of the image in bytes.
    pub size_bytes: i64,
    /// When it was moved to the image.
    pub moved_at: DateTime<Utc>,
}

/// The tags of a collection, `latest` first.
pub async fn tags(db: &PgPool, collection: &CollectionName) -> sqlx::Result<Vec<TagRow>> {
    sqlx::query_as!(
        TagRow,
        "SELECT tags.name, images.digest, images.size_bytes, tags.moved_at
        FROM tags
        JOIN images ON images.id = tags.image_id
        JOIN collections ON collections.id = tags.collection_id
        WHERE lower(collections.name) = lower($1)
        ORDER BY tags.name <> 'latest', tags.name",
        collection.to_string(),
    )
    .fetch_all(db)
    .await
}
