//! Which images are published?

use chrono::{DateTime, Utc};
use cooperage_protocol::image::{ImageFacts, Layout};
use cooperage_protocol::{BuildId, CollectionId, CollectionName, Digest, ImageId, UserId};
use sqlx::{PgConnection, PgExecutor, PgPool};

/// What is known of an image that was built.
#[derive(Debug)]
pub(crate) struct BuiltImage<'a> {
    /// SHA-256 of the file.
    pub(crate) digest: Digest,
    /// MD5 of the file.
    pub(crate) md5: &'a str,
    /// Where its bytes are.
    pub(crate) layout: &'a Layout,
    /// What it tells of itself.
    pub(crate) facts: &'a ImageFacts,
    /// SHA-256 of the file as the worker sent it.
    pub(crate) sent_digest: Digest,
}

/// Publishes the image of a build.
pub(crate) async fn insert(
    db: &mut PgConnection,
    collection: CollectionId,
    build: BuildId,
    image: &BuiltImage<'_>,
) -> Result<ImageId, crate::Error> {
    let layout = serde_json::to_value(image.layout).map_err(anyhow::Error::from)?;
    let facts = serde_json::to_value(image.facts).map_err(anyhow::Error::from)?;
    let size = i64::try_from(image.layout.size()).map_err(anyhow::Error::from)?;
    let id = ImageId::generate();
    sqlx::query!(
        "INSERT INTO images
             (id, collection_id, build_id, digest, md5, size_bytes, layout, facts, sent_digest)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        id.0,
        collection.0,
        build.0,
        image.digest.to_string(),
        image.md5,
        size,
        layout,
        facts,
        image.sent_digest.to_string(),
    )
    .execute(&mut *db)
    .await?;
    insert_uses(db, id, image.layout).await?;
    Ok(id)
}

/// Notes which objects an image has pieces of; there is none that the store has not.
async fn insert_uses(db: &mut PgConnection, id: ImageId, layout: &Layout) -> sqlx::Result<()> {
    let objects = layout.objects();
    let digests: Vec<String> = objects.iter().map(Digest::to_string).collect();
    sqlx::query!(
        "INSERT INTO image_objects (image_id, digest)
         SELECT $1, unnest($2::text[])
         ON CONFLICT DO NOTHING",
        id.0,
        &digests[..],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What is known of an image that somebody pushed as one object.
#[derive(Debug)]
pub(crate) struct PushedImage<'a> {
    /// The id that it gets.
    pub(crate) id: ImageId,
    /// SHA-256 of the file, which is an object of the store.
    pub(crate) digest: Digest,
    /// MD5 of the file.
    pub(crate) md5: &'a str,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// What it tells of itself.
    pub(crate) facts: &'a ImageFacts,
    /// The tag that it was first pushed for.
    pub(crate) pushed_for: &'a str,
    /// Who pushed it.
    pub(crate) pushed_by: UserId,
}

/// Publishes an image that was pushed; the collection's image of this digest, if it has one.
pub(crate) async fn insert_pushed(
    db: &mut PgConnection,
    collection: CollectionId,
    image: &PushedImage<'_>,
) -> Result<ImageId, crate::Error> {
    if let Some(known) = of_digest(&mut *db, collection, image.digest).await? {
        return Ok(known);
    }
    let layout = Layout::of_one_object(image.digest, image.size);
    let size = i64::try_from(image.size).map_err(anyhow::Error::from)?;
    let inserted = sqlx::query_scalar!(
        "INSERT INTO images (id, collection_id, digest, md5, size_bytes, layout, facts, pushed_for,
             pushed_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (collection_id, digest) WHERE build_id IS NULL
         DO UPDATE SET size_bytes = images.size_bytes
         RETURNING id",
        image.id.0,
        collection.0,
        image.digest.to_string(),
        image.md5,
        size,
        serde_json::to_value(&layout).map_err(anyhow::Error::from)?,
        serde_json::to_value(image.facts).map_err(anyhow::Error::from)?,
        image.pushed_for,
        image.pushed_by.0,
    )
    .fetch_one(&mut *db)
    .await?;
    let id = ImageId(inserted);
    insert_uses(db, id, &layout).await?;
    Ok(id)
}

/// The newest image of a collection that has this digest.
pub(crate) async fn of_digest(
    db: &mut PgConnection,
    collection: CollectionId,
    digest: Digest,
) -> sqlx::Result<Option<ImageId>> {
    let id = sqlx::query_scalar!(
        "SELECT id
         FROM images
         WHERE collection_id = $1 AND digest = $2
         ORDER BY created_at DESC
         LIMIT 1",
        collection.0,
        digest.to_string(),
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(ImageId))
}

/// Removes an image, its tags and its manifests.
pub(crate) async fn delete(db: &PgPool, id: ImageId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM images WHERE id = $1", id.0)
        .execute(db)
        .await?;
    Ok(())
}

/// Size and digest of the image that a build published.
pub(crate) async fn of_build(db: &PgPool, build: BuildId) -> sqlx::Result<Option<(i64, String)>> {
    let row = sqlx::query!(
        "SELECT size_bytes, digest FROM images WHERE build_id = $1",
        build.0
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.size_bytes, row.digest)))
}

/// Removes images of so many seconds that were remote builds without a destination; gives how many.
pub(crate) async fn expire_remote_builds(db: &PgPool, seconds: f64) -> sqlx::Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM images
         USING collections
         WHERE collections.id = images.collection_id
           AND collections.remote_builds_of IS NOT NULL
           AND images.created_at < now() - make_interval(secs => $1)",
        seconds,
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}

/// Whether the image belongs to the collection.
pub(crate) async fn is_of(
    db: &mut PgConnection,
    collection: CollectionId,
    id: ImageId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM images WHERE id = $1 AND collection_id = $2) AS "is!""#,
        id.0,
        collection.0,
    )
    .fetch_one(db)
    .await
}

/// The size of the collection's images of this digest.
pub(crate) async fn size_of_digest(
    db: &mut PgConnection,
    collection: CollectionId,
    digest: Digest,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "SELECT size_bytes FROM images WHERE collection_id = $1 AND digest = $2 LIMIT 1",
        collection.0,
        digest.to_string(),
    )
    .fetch_optional(db)
    .await
}

/// Removes an image that was pushed, with its tags, unless another manifest is it too. An image
/// that was built stays.
pub(crate) async fn delete_pushed(db: &mut PgConnection, id: ImageId) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM images
         WHERE id = $1
           AND build_id IS NULL
           AND NOT EXISTS (SELECT 1 FROM manifests WHERE manifests.image_id = $1)",
        id.0,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The digest of the image that a build published, as its worker sent it.
pub(crate) async fn sent_by_build(
    db: &mut PgConnection,
    build: BuildId,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"SELECT COALESCE(sent_digest, digest) AS "digest!" FROM images WHERE build_id = $1"#,
        build.0,
    )
    .fetch_optional(db)
    .await
}

/// The newest image of a recipe's content at a commit, if it was built before.
pub async fn of_recipe_at_commit(
    db: impl PgExecutor<'_>,
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
    /// The commit in hex, if it was built.
    pub commit: Option<String>,
    /// When it was published.
    pub created_at: DateTime<Utc>,
}

/// The images of a collection, newest first.
pub async fn artifacts(db: &PgPool, collection: &CollectionName) -> sqlx::Result<Vec<Artifact>> {
    sqlx::query_as!(
        Artifact,
        r#"SELECT digest, size_bytes, commit_sha AS "commit?", images.created_at,
            lower(
                split_part(collections.name, '/', 2) || '_'
                || COALESCE(builds.tag, images.pushed_for) || '.sif'
            ) AS "title!"
        FROM images
        LEFT JOIN builds ON builds.id = images.build_id
        JOIN collections ON collections.id = images.collection_id
        WHERE lower(collections.name) = lower($1)
        ORDER BY images.created_at DESC"#,
        collection.to_string(),
    )
    .fetch_all(db)
    .await
}
