//! Which manifests were pushed, and what do they name?

use std::collections::BTreeMap;

use cooperage_protocol::{CollectionId, Digest, ImageId, UserId};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

/// A manifest as it was pushed.
#[derive(Debug)]
pub(crate) struct Pushed {
    /// What it says it is.
    pub(crate) media_type: String,
    /// Its text.
    pub(crate) content: Vec<u8>,
}

/// What is kept of a manifest.
#[derive(Debug)]
pub(crate) struct NewManifest<'a> {
    /// SHA-256 of its text.
    pub(crate) digest: Digest,
    /// What it says it is.
    pub(crate) media_type: &'a str,
    /// What it describes.
    pub(crate) artifact_type: Option<&'a str>,
    /// The manifest that it says something about.
    pub(crate) subject: Option<Digest>,
    /// Its annotations.
    pub(crate) annotations: &'a BTreeMap<String, String>,
    /// Its text.
    pub(crate) content: &'a [u8],
    /// The blobs and manifests that it names.
    pub(crate) parts: &'a [Digest],
    /// The image that it is.
    pub(crate) image: Option<ImageId>,
    /// Who pushed it.
    pub(crate) pushed_by: UserId,
}

/// A manifest that says something about another.
#[derive(Debug)]
pub(crate) struct Referrer {
    /// SHA-256 of its text.
    pub(crate) digest: String,
    /// What it says it is.
    pub(crate) media_type: String,
    /// The length of its text.
    pub(crate) size: i32,
    /// What it describes.
    pub(crate) artifact_type: Option<String>,
    /// Its annotations.
    pub(crate) annotations: Json<BTreeMap<String, String>>,
}

/// The manifest of this digest.
pub(crate) async fn find(
    db: &PgPool,
    collection: CollectionId,
    digest: Digest,
) -> sqlx::Result<Option<Pushed>> {
    sqlx::query_as!(
        Pushed,
        "SELECT media_type, content
         FROM manifests
         WHERE collection_id = $1 AND digest = $2",
        collection.0,
        digest.to_string(),
    )
    .fetch_optional(db)
    .await
}

/// Whether a collection has this manifest.
pub(crate) async fn exists(
    db: &mut PgConnection,
    collection: CollectionId,
    digest: Digest,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
             SELECT 1 FROM manifests WHERE collection_id = $1 AND digest = $2
         ) AS "exists!""#,
        collection.0,
        digest.to_string(),
    )
    .fetch_one(db)
    .await
}

/// The manifest that a tag was pushed with, if it points at one.
pub(crate) async fn of_tag(
    db: &PgPool,
    collection: CollectionId,
    tag: &str,
) -> sqlx::Result<Option<Pushed>> {
    sqlx::query_as!(
        Pushed,
        "SELECT media_type, content
         FROM tags
         JOIN manifests ON manifests.collection_id = tags.collection_id
             AND manifests.digest = tags.manifest
         WHERE tags.collection_id = $1 AND tags.name = $2",
        collection.0,
        tag,
    )
    .fetch_optional(db)
    .await
}

/// Keeps a manifest; one that is here already stays as it is.
pub(crate) async fn insert(
    db: &mut PgConnection,
    collection: CollectionId,
    new: &NewManifest<'_>,
) -> sqlx::Result<()> {
    let digest = new.digest.to_string();
    let annotations = serde_json::to_value(new.annotations).unwrap_or_default();
    sqlx::query!(
        "INSERT INTO manifests (collection_id, digest, media_type, artifact_type, subject,
             annotations, content, image_id, pushed_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (collection_id, digest) DO NOTHING",
        collection.0,
        digest,
        new.media_type,
        new.artifact_type,
        new.subject.map(|subject| subject.to_string()),
        annotations,
        new.content,
        new.image.map(|image| image.0),
        new.pushed_by.0,
    )
    .execute(&mut *db)
    .await?;
    let parts: Vec<String> = new.parts.iter().map(Digest::to_string).collect();
    sqlx::query!(
        "INSERT INTO manifest_parts (collection_id, manifest, digest)
         SELECT DISTINCT $1::uuid, $2::text, part
         FROM unnest($3::text[]) AS part
         ON CONFLICT DO NOTHING",
        collection.0,
        digest,
        &parts[..],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The manifests that say something about this one, by their digests, after `last`.
pub(crate) async fn referrers(
    db: &PgPool,
    collection: CollectionId,
    subject: Digest,
) -> sqlx::Result<Vec<Referrer>> {
    sqlx::query_as!(
        Referrer,
        r#"SELECT digest, media_type, octet_length(content) AS "size!", artifact_type,
            annotations AS "annotations: Json<BTreeMap<String, String>>"
         FROM manifests
         WHERE collection_id = $1 AND subject = $2
         ORDER BY pushed_at, digest"#,
        collection.0,
        subject.to_string(),
    )
    .fetch_all(db)
    .await
}

/// The manifest that names a blob or a manifest of the collection.
pub(crate) async fn that_names(
    db: &PgPool,
    collection: CollectionId,
    part: Digest,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT manifest FROM manifest_parts WHERE collection_id = $1 AND digest = $2 LIMIT 1",
        collection.0,
        part.to_string(),
    )
    .fetch_optional(db)
    .await
}

/// Removes a manifest and its tags; gives the image that it was, if it was one. `None` when it is
/// not there.
pub(crate) async fn delete(
    db: &mut PgConnection,
    collection: CollectionId,
    digest: Digest,
) -> sqlx::Result<Option<Option<ImageId>>> {
    let deleted = sqlx::query!(
        "DELETE FROM manifests WHERE collection_id = $1 AND digest = $2 RETURNING image_id",
        collection.0,
        digest.to_string(),
    )
    .fetch_optional(db)
    .await?;
    Ok(deleted.map(|row| row.image_id.map(ImageId)))
}
