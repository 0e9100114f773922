//! How often was each image downloaded?

use sqlx::PgPool;
use uuid::Uuid;

/// Downloads of a file of a collection, not yet counted.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The collection.
    pub(crate) collection: Uuid,
    /// SHA-256 of the file.
    pub(crate) digest: String,
    /// How many.
    pub(crate) count: i64,
}

/// Adds downloads to those that are counted. A file that is no image of its collection, such as a
/// layer of Docker's, is not counted.
pub(crate) async fn add(db: &PgPool, seen: &[Seen]) -> sqlx::Result<()> {
    let collections: Vec<Uuid> = seen.iter().map(|seen| seen.collection).collect();
    let digests: Vec<String> = seen.iter().map(|seen| seen.digest.clone()).collect();
    let counts: Vec<i64> = seen.iter().map(|seen| seen.count).collect();
    sqlx::query!(
        "INSERT INTO pulls (collection_id, digest, count)
         SELECT seen.collection_id, seen.digest, seen.count
         FROM unnest($1::uuid[], $2::text[], $3::bigint[])
             AS seen (collection_id, digest, count)
         WHERE EXISTS (
             SELECT 1
             FROM images
             WHERE images.collection_id = seen.collection_id AND images.digest = seen.digest
         )
         ON CONFLICT (collection_id, digest) DO UPDATE
         SET count = pulls.count + EXCLUDED.count",
        &collections[..],
        &digests[..],
        &counts[..],
    )
    .execute(db)
    .await?;
    Ok(())
}
