//! Which image does a tag name?

use chrono::{DateTime, Utc};
use cooperage_protocol::{CollectionId, Digest, ImageId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Points a tag at an image, wherever it pointed before.
pub async fn point(
    db: &mut PgConnection,
    collection: CollectionId,
    name: &str,
    image: ImageId,
) -> sqlx::Result<()> {
    set(db, collection, name, image).await?;
    forget_others(db, collection, name).await
}

/// Lets a tag point at an image, whatever it means for other architectures.
async fn set(
    db: &mut PgConnection,
    collection: CollectionId,
    name: &str,
    image: ImageId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO tags (collection_id, name, image_id)
         VALUES ($1, $2, $3)
         ON CONFLICT (collection_id, name) DO UPDATE
         SET image_id = $3, manifest = NULL, moved_at = now()",
        collection.0,
        name,
        image.0,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Points a tag at an image for its architecture; for others, it means what it meant.
pub(crate) async fn point_for_architecture(
    db: &mut PgConnection,
    collection: CollectionId,
    name: &str,
    image: ImageId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO other_architectures (collection_id, name, architecture, image_id)
         SELECT tags.collection_id, tags.name, images.facts ->> 'architecture', images.id
         FROM tags
         JOIN images ON images.id = tags.image_id
         WHERE tags.collection_id = $1 AND tags.name = $2
         ON CONFLICT (collection_id, name, architecture) DO UPDATE SET image_id = excluded.image_id",
        collection.0,
        name,
    )
    .execute(&mut *db)
    .await?;
    set(db, collection, name, image).await?;
    sqlx::query!(
        "DELETE FROM other_architectures
         USING images
         WHERE other_architectures.collection_id = $1
           AND name = $2
           AND images.id = $3
           AND architecture = images.facts ->> 'architecture'",
        collection.0,
        name,
        image.0,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "UPDATE images SET pushed_for = $2 WHERE id = $1 AND starts_with(digest, 'sha256:' || pushed_for)",
        image.0,
        name,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Lets a tag mean nothing but what it points at.
async fn forget_others(
    db: &mut PgConnection,
    collection: CollectionId,
    name: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM other_architectures WHERE collection_id = $1 AND name = $2",
        collection.0,
        name,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What a tag means for an architecture.
#[derive(Debug)]
pub(crate) struct Meaning {
    /// The tag.
    pub(crate) name: String,
    /// The architecture, if the image says which.
    pub(crate) architecture: String,
    /// The image.
    pub(crate) image: Uuid,
}

/// What the tags of a collection mean, for every architecture.
pub(crate) async fn meanings(db: &PgPool, collection: CollectionId) -> sqlx::Result<Vec<Meaning>> {
    sqlx::query_as!(
        Meaning,
        r#"SELECT tags.name AS "name!", COALESCE(images.facts ->> 'architecture', '') AS "architecture!",
            images.id AS "image!"
         FROM tags
         JOIN images ON images.id = tags.image_id
         WHERE tags.collection_id = $1
         UNION ALL
         SELECT name AS "name!", architecture AS "architecture!", image_id AS "image!"
         FROM other_architectures
         WHERE collection_id = $1
         ORDER BY 1, 2"#,
        collection.0,
    )
    .fetch_all(db)
    .await
}

/// Points a tag at a manifest, and at the image that it is.
pub(crate) async fn point_at_manifest(
    db: &mut PgConnection,
    collection: CollectionId,
    name: &str,
    (manifest, image): (Digest, Option<ImageId>),
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO tags (collection_id, name, manifest, image_id)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (collection_id, name) DO UPDATE
         SET image_id = $4, manifest = $3, moved_at = now()",
        collection.0,
        name,
        manifest.to_string(),
        image.map(|image| image.0),
    )
    .execute(&mut *db)
    .await?;
    forget_others(db, collection, name).await
}

/// All tags of a collection, of images and of whatever else was pushed, in order.
pub(crate) async fn names(db: &PgPool, collection: CollectionId) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT name FROM tags WHERE collection_id = $1 ORDER BY name COLLATE "C""#,
        collection.0,
    )
    .fetch_all(db)
    .await
}

/// Removes a tag; tells whether it was there.
pub(crate) async fn delete(
    db: &PgPool,
    collection: CollectionId,
    name: &str,
) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "DELETE FROM tags WHERE collection_id = $1 AND name = $2",
        collection.0,
        name,
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() > 0)
}

/// Points a tag at an image unless it names one whose build was asked for later.
pub async fn advance(
    db: &mut PgConnection,
    collection: CollectionId,
    name: &str,
    (image, queued_at): (ImageId, DateTime<Utc>),
) -> sqlx::Result<bool> {
    let moved = sqlx::query!(
        "INSERT INTO tags AS t (collection_id, name, image_id)
         VALUES ($1, $2, $3)
         ON CONFLICT (collection_id, name) DO UPDATE
         SET image_id = $3, manifest = NULL, moved_at = now()
         WHERE NOT EXISTS (
             SELECT 1
             FROM images
             JOIN builds ON builds.id = images.build_id
             WHERE images.id = t.image_id AND builds.queued_at > $4
         )",
        collection.0,
        name,
        image.0,
        queued_at,
    )
    .execute(&mut *db)
    .await?;
    let is_moved = moved.rows_affected() == 1;
    if is_moved {
        forget_others(db, collection, name).await?;
    }
    Ok(is_moved)
}
