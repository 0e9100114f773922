//! Which image does a tag name?

use chrono::{DateTime, Utc};
use cooperage_protocol::{CollectionId, ImageId};
use sqlx::PgConnection;

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
         ON CONFLICT (collection_id, name) DO UPDATE SET image_id = $3, moved_at = now()",
        collection.0,
        name,
        image.0,
    )
    .execute(db)
    .await?;
    Ok(())
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
         ON CONFLICT (collection_id, name) DO UPDATE SET image_id = $3, moved_at = now()
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
