//! Which images are published?

use chrono::{DateTime, Utc};
use cooperage_protocol::worker::FinishedImage;
use cooperage_protocol::{BuildId, CollectionId, CollectionName, Digest, ImageId};
use sqlx::{PgConnection, PgPool};

/// Publishes the image of a build.
pub async fn insert(
    db: &mut PgConnection,
    collection: CollectionId,
    build: BuildId,
    image: &FinishedImage,
) -> Result<ImageId, crate::Error> {
    let layout = serde_json::to_value(&image.layout).map_err(anyhow::Error::from)?;
    let facts = serde_json::to_value(&image.facts).map_err(anyhow::Error::from)?;
    let size = i64::try_from(image.layout.size()).map_err(anyhow::Error::from)?;
    let id = ImageId::generate();
    sqlx::query!(
        "INSERT INTO images (id, collection_id, build_id, digest, md5, size_bytes, layout, facts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        id.0,
        collection.0,
        build.0,
        image.digest.to_string(),
        image.md5,
        size,
        layout,
        facts,
    )
    .execute(&mut *db)
    .await?;
    insert_uses(db, id, image).await?;
    Ok(id)
}

/// Notes which objects an image has pieces of; there is none that the store has not.
async fn insert_uses(
    db: &mut PgConnection,
    id: ImageId,
    image: &FinishedImage,
) -> sqlx::Result<()> {
    let objects = image.layout.objects();
    let digests: Vec<String> = objects.iter().map(Digest::to_string).collect();
    sqlx::query!(
        "INSERT INTO image_objects (image_id, digest) SELECT $1, unnest($2::text[])",
        id.0,
        &digests[..],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The digest of the image that a build published.
pub async fn digest_of_build(
    db: &mut PgConnection,
    build: BuildId,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT digest FROM images WHERE build_id = $1", build.0)
        .fetch_optional(db)
        .await
}

/// The newest image of a recipe's content at a commit, if it was built before.
pub async fn of_recipe_at_commit(
    db: &PgPool,
    collection: CollectionId,
    commit: &str,
    recipe: &str,
) -> sqlx::Result<Option<ImageId>> {
    let id = sqlx::query_scalar!(
        "SELECT images.id
         FROM images
         JOIN builds ON builds.id = images.build_id
         WHERE builds.collection_id = $1 AND builds.commit_sha = $2 AND builds.recipe = $3
         ORDER BY images.created_at DESC
         LIMIT 1",
        collection.0,
        commit,
        recipe,
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(ImageId))
}

/// An image as registries describe it.
#[derive(Debug)]
pub struct Artifact {
    /// SHA-256 of the file.
    pub digest: String,
    /// Size in bytes.
    pub size_bytes: i64,
    /// A name for the file.
    pub title: String,
    /// The commit in hex.
    pub commit: String,
    /// When it was published.
    pub created_at: DateTime<Utc>,
}

/// The images of a collection, newest first.
pub async fn artifacts(db: &PgPool, collection: &CollectionName) -> sqlx::Result<Vec<Artifact>> {
    sqlx::query_as!(
        Artifact,
        r#"SELECT digest, size_bytes, commit_sha AS commit, images.created_at,
            lower(split_part(collections.name, '/', 2) || '_' || builds.tag || '.sif') AS "title!"
        FROM images
        JOIN builds ON builds.id = images.build_id
        JOIN collections ON collections.id = images.collection_id
        WHERE lower(collections.name) = lower($1)
        ORDER BY images.created_at DESC"#,
        collection.to_string(),
    )
    .fetch_all(db)
    .await
}
