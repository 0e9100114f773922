//! Which image does a tag name?

use chrono::{DateTime, Utc};
use cooperage_protocol::{CollectionId, Digest, ImageId};
use sqlx::{PgConnection, PgPool};

/// Points a tag at an image, wherever it pointed before.
pub async fn point(
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
    .execute(db)
    .await?;
    Ok(())
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
    .execute(db)
    .await?;
    Ok(moved.rows_affected() == 1)
}
