//! Which objects did a build offer, and which of them may it use? The table `build_objects`.

use std::collections::HashMap;

use cooperage_protocol::worker::OfferedObject;
use cooperage_protocol::{BuildId, CollectionId, Digest};
use sqlx::{PgConnection, PgPool};

/// Notes what a build offers, in place of what it offered before.
pub async fn replace(
    db: &mut PgConnection,
    build: BuildId,
    objects: &[OfferedObject],
) -> sqlx::Result<()> {
    let digests: Vec<String> = objects.iter().map(|it| it.digest.to_string()).collect();
    let sizes: Vec<i64> = objects
        .iter()
        .map(|it| i64::try_from(it.size).unwrap_or(i64::MAX))
        .collect();
    sqlx::query!(
        "DELETE FROM build_objects WHERE build_id = $1 AND digest <> ALL($2)",
        build.0,
        &digests[..],
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "INSERT INTO build_objects (build_id, digest, size_bytes)
         SELECT $1, digest, size_bytes
         FROM unnest($2::text[], $3::bigint[]) AS offered (digest, size_bytes)
         ON CONFLICT (build_id, digest) DO UPDATE
         SET size_bytes = excluded.size_bytes,
             is_proven = build_objects.is_proven
                 AND build_objects.size_bytes = excluded.size_bytes",
        build.0,
        &digests[..],
        &sizes[..],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes which offered objects the build need not send: those of its own collection's images, and
/// those of images that everybody can download.
///
/// # Security
/// An object of an image that the build's collection may not read must not be among them: naming a
/// digest is no proof of having the bytes.
pub async fn prove_by_images(
    db: &mut PgConnection,
    build: BuildId,
    collection: CollectionId,
) -> sqlx::Result<()> {
    // The collector waits for this transaction, or has removed the row before it.
    sqlx::query!(
        "SELECT objects.digest
         FROM objects
         JOIN build_objects ON build_objects.digest = objects.digest
         WHERE build_objects.build_id = $1
         FOR KEY SHARE OF objects",
        build.0,
    )
    .fetch_all(&mut *db)
    .await?;
    sqlx::query!(
        "UPDATE build_objects
         SET is_proven = true
         WHERE build_id = $1
           AND NOT is_proven
           AND EXISTS (
               SELECT 1
               FROM image_objects
               JOIN images ON images.id = image_objects.image_id
               JOIN collections ON collections.id = images.collection_id
               WHERE image_objects.digest = build_objects.digest
                 AND (collections.id = $2 OR collections.visibility = 'public')
           )",
        build.0,
        collection.0,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that the build has sent an object.
pub async fn prove_by_upload(
    db: &mut PgConnection,
    build: BuildId,
    digest: Digest,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE build_objects SET is_proven = true WHERE build_id = $1 AND digest = $2",
        build.0,
        digest.to_string(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The sizes of the objects that the build may use.
pub async fn usable(db: &mut PgConnection, build: BuildId) -> sqlx::Result<HashMap<String, i64>> {
    let rows = sqlx::query!(
        "SELECT objects.digest, objects.size_bytes
         FROM build_objects
         JOIN objects ON objects.digest = build_objects.digest
         WHERE build_objects.build_id = $1 AND build_objects.is_proven",
        build.0,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.digest, row.size_bytes))
        .collect())
}

/// The size of an object that the build offered.
pub async fn size(db: &PgPool, build: BuildId, digest: Digest) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "SELECT size_bytes FROM build_objects WHERE build_id = $1 AND digest = $2",
        build.0,
        digest.to_string(),
    )
    .fetch_optional(db)
    .await
}

/// Forgets what builds offered that have ended.
pub async fn forget_ended(db: &PgPool) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM build_objects
         USING builds
         WHERE builds.id = build_objects.build_id AND builds.state NOT IN ('queued', 'running')"
    )
    .execute(db)
    .await?;
    Ok(())
}
