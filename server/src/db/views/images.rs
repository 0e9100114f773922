//! Reading published images.

use chrono::{DateTime, Utc};
use cooperage_protocol::image::{ImageFacts, Layout};
use cooperage_protocol::{CollectionName, Digest, ImageId, Tag};
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

use super::Window;

/// Which images of a collection are meant: all of those that match every given field.
#[derive(Debug, Clone, Default)]
pub struct ImageFilter {
    /// The first digits of the SHA-256.
    pub sha256: Option<String>,
    /// The MD5.
    pub md5: Option<String>,
    /// The first digits of the commit.
    pub commit: Option<String>,
    /// The tag it was built for, wherever that tag points now.
    pub built_for: Option<Tag>,
    /// The tag that points at it now.
    pub tag: Option<Tag>,
    /// Its architecture, or that it says none.
    pub architecture: Option<String>,
}

/// A published image.
#[derive(Debug)]
pub struct ImageRow {
    /// Its collection.
    pub collection: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// MD5 of the file.
    pub md5: String,
    /// Size in bytes.
    pub size_bytes: i64,
    /// Where its bytes are.
    pub layout: Json<Layout>,
    /// What its page shows.
    pub facts: Json<ImageFacts>,
    /// When it was published.
    pub created_at: DateTime<Utc>,
    /// When the newest tag was moved to it, or when it was published.
    pub moved_at: DateTime<Utc>,
    /// Its id.
    pub id: ImageId,
    /// The build that made it, unless it was pushed.
    pub build_id: Option<Uuid>,
    /// The tag it was built or pushed for.
    pub built_for: String,
    /// The commit in hex, if it was built.
    pub commit: Option<String>,
    /// Path of the definition in the repository, if it was built.
    pub recipe: Option<String>,
    /// Who pushed it, if the account is still there.
    pub pushed_by: Option<String>,
    /// The worker that built it.
    pub worker: Option<String>,
    /// The tags that point at it.
    pub tags: Vec<String>,
    /// How often the file was pulled.
    pub pulls: i64,
    /// Whether it holds a signature, whoever made it.
    pub is_signed: bool,
}

impl ImageRow {
    /// The digest as a type.
    pub fn digest(&self) -> Result<Digest, crate::Error> {
        self.digest
            .parse()
            .map_err(|error| crate::Error::Internal(anyhow::Error::new(error)))
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.layout.0.size()
    }
}

/// Images of a collection, newest first.
pub async fn images(
    db: &PgPool,
    collection: &CollectionName,
    filter: &ImageFilter,
    window: impl Into<Window>,
) -> sqlx::Result<Vec<ImageRow>> {
    let window = window.into();
    sqlx::query_as!(
        ImageRow,
        r#"SELECT collections.name AS collection, digest, md5, size_bytes,
            layout AS "layout: Json<Layout>", facts AS "facts: Json<ImageFacts>",
            images.created_at, images.id, images.build_id,
            COALESCE(builds.tag, images.pushed_for, '') AS "built_for!",
            builds.commit_sha AS "commit?", builds.recipe AS "recipe?", workers.name AS "worker?",
            users.name AS "pushed_by?",
            greatest(
                images.created_at,
                (SELECT max(moved_at) FROM tags WHERE tags.image_id = images.id)
            ) AS "moved_at!",
            ARRAY(
                SELECT tags.name
                FROM (
                    SELECT name, image_id FROM tags
                    UNION
                    SELECT name, image_id FROM other_architectures
                ) AS tags
                WHERE tags.image_id = images.id
                ORDER BY tags.name <> 'latest', tags.name
            ) AS "tags!",
            COALESCE(pulls.count, 0) AS "pulls!",
            images.id IN (SELECT image_id FROM image_signatures) AS "is_signed!"
        FROM images
        LEFT JOIN pulls USING (collection_id, digest)
        JOIN collections ON collections.id = images.collection_id
        LEFT JOIN builds ON builds.id = images.build_id
        LEFT JOIN workers ON workers.id = builds.worker_id
        LEFT JOIN users ON users.id = images.pushed_by
        WHERE lower(collections.name) = lower($1)
            AND ($2::text IS NULL OR starts_with(digest, 'sha256:' || $2))
            AND ($3::text IS NULL OR md5 = $3)
            AND ($4::text IS NULL OR starts_with(builds.commit_sha, $4))
            AND ($5::text IS NULL OR COALESCE(builds.tag, images.pushed_for) = $5)
            AND ($6::text IS NULL OR EXISTS (
                SELECT 1 FROM tags WHERE tags.image_id = images.id AND tags.name = $6
                UNION ALL
                SELECT 1
                FROM other_architectures AS others
                WHERE $8::text IS NOT NULL AND others.image_id = images.id AND others.name = $6
            ))
            AND ($8::text IS NULL OR COALESCE(facts ->> 'architecture', '') IN ('', $8))
        ORDER BY images.created_at DESC, images.id DESC
        LIMIT $7 OFFSET $9"#,
        collection.to_string(),
        filter.sha256,
        filter.md5,
        filter.commit,
        filter.built_for.as_ref().map(Tag::as_str),
        filter.tag.as_ref().map(Tag::as_str),
        window.limit,
        filter.architecture,
        window.offset,
    )
    .fetch_all(db)
    .await
}
