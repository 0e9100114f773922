//! Which objects does the store hold, and what needs them?

use cooperage_protocol::Digest;
use sqlx::{PgConnection, PgPool};

/// Keeps other uploads and removals of an object out until the transaction ends.
pub async fn lock(db: &mut PgConnection, digest: Digest) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))::text AS locked",
        digest.to_string(),
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Notes an object that is complete and on disk.
pub async fn insert(db: &mut PgConnection, digest: Digest, size: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO objects (digest, size_bytes)
         VALUES ($1, $2)
         ON CONFLICT (digest) DO UPDATE SET size_bytes = $2, unused_since = NULL",
        digest.to_string(),
        size,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Those of the digests that are objects here.
pub async fn known(db: &mut PgConnection, digests: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("SELECT digest FROM objects WHERE digest = ANY($1)", digests)
        .fetch_all(db)
        .await
}

/// Notes since when each object is unused: no image has a piece of it, and no build that runs
/// will need it.
pub async fn mark_unused(db: &PgPool) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH needed AS (
             SELECT digest FROM image_objects
             UNION
             SELECT digest FROM blobs
             UNION
             SELECT digest
             FROM build_objects
             JOIN builds ON builds.id = build_objects.build_id
             WHERE builds.state = 'running'
         ), seen AS (
             SELECT objects.digest, needed.digest IS NULL AS is_unused
             FROM objects
             LEFT JOIN needed ON needed.digest = objects.digest
         )
         UPDATE objects
         SET unused_since = CASE WHEN seen.is_unused THEN now() END
         FROM seen
         WHERE seen.digest = objects.digest
           AND seen.is_unused <> (objects.unused_since IS NOT NULL)",
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Objects that have been unused for so long.
pub async fn unused_for(db: &PgPool, seconds: f64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT digest
         FROM objects
         WHERE unused_since <= now() - make_interval(secs => $1)
         ORDER BY digest",
        seconds,
    )
    .fetch_all(db)
    .await
}

/// Forgets an object that is still unused; tells its size when it was forgotten.
pub async fn delete_unused(db: &mut PgConnection, digest: Digest) -> sqlx::Result<Option<i64>> {
    let digest = digest.to_string();
    // An image that is being published and an offer hold the row: wait, and look only then.
    sqlx::query!(
        "SELECT digest FROM objects WHERE digest = $1 FOR UPDATE",
        digest
    )
    .fetch_optional(&mut *db)
    .await?;
    sqlx::query_scalar!(
        "DELETE FROM objects
         WHERE digest = $1
           AND unused_since IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM image_objects WHERE image_objects.digest = $1)
           AND NOT EXISTS (SELECT 1 FROM blobs WHERE blobs.digest = $1)
           AND NOT EXISTS (
               SELECT 1
               FROM build_objects
               JOIN builds ON builds.id = build_objects.build_id
               WHERE build_objects.digest = $1 AND builds.state = 'running'
           )
         RETURNING size_bytes",
        digest,
    )
    .fetch_optional(db)
    .await
}

/// What the store holds.
#[derive(Debug)]
pub struct Usage {
    /// How many images there are.
    pub images: i64,
    /// Their bytes, each image as if it were alone.
    pub image_bytes: i64,
    /// How many objects there are.
    pub objects: i64,
    /// Their bytes.
    pub object_bytes: i64,
    /// How many objects are unused.
    pub unused_objects: i64,
    /// Their bytes.
    pub unused_bytes: i64,
}

/// Counts images and objects.
pub async fn usage(db: &PgPool) -> sqlx::Result<Usage> {
    sqlx::query_as!(
        Usage,
        r#"SELECT
            (SELECT count(*) FROM images) AS "images!",
            (SELECT COALESCE(sum(size_bytes), 0)::bigint FROM images) AS "image_bytes!",
            count(*) AS "objects!",
            COALESCE(sum(size_bytes), 0)::bigint AS "object_bytes!",
            count(unused_since) AS "unused_objects!",
            COALESCE(sum(size_bytes) FILTER (WHERE unused_since IS NOT NULL), 0)::bigint
                AS "unused_bytes!"
        FROM objects"#
    )
    .fetch_one(db)
    .await
}

/// Objects in the order of their names, with their sizes.
pub async fn after(
    db: &PgPool,
    after: Option<Digest>,
    limit: i64,
) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        "SELECT digest, size_bytes
         FROM objects
         WHERE $1::text IS NULL OR digest > $1
         ORDER BY digest
         LIMIT $2",
        after.map(|digest| digest.to_string()),
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.digest, row.size_bytes))
        .collect())
}

/// An image that has a piece of an object.
#[derive(Debug)]
pub struct ImageOf {
    /// The name of its collection.
    pub collection: String,
    /// Its digest.
    pub digest: String,
    /// Its tags.
    pub tags: Vec<String>,
}

/// The images that have a piece of an object.
pub async fn images_of(db: &PgPool, digest: Digest) -> sqlx::Result<Vec<ImageOf>> {
    sqlx::query_as!(
        ImageOf,
        r#"SELECT collections.name AS collection, images.digest,
            ARRAY(
                SELECT tags.name FROM tags WHERE tags.image_id = images.id ORDER BY tags.name
            ) AS "tags!"
        FROM image_objects
        JOIN images ON images.id = image_objects.image_id
        JOIN collections ON collections.id = images.collection_id
        WHERE image_objects.digest = $1
        ORDER BY lower(collections.name), images.created_at"#,
        digest.to_string(),
    )
    .fetch_all(db)
    .await
}
