//! What is somebody sending that is not whole yet?

use cooperage_protocol::{CollectionId, PushId, UserId};
use sqlx::PgPool;

/// Who sends something to which collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Push {
    /// Where it goes.
    pub(crate) collection: CollectionId,
    /// Who sends it; nobody else may go on with it.
    pub(crate) user: UserId,
}

/// Notes that something will be sent.
pub(crate) async fn begin(db: &PgPool, id: PushId, push: Push) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO pushes (id, collection_id, user_id) VALUES ($1, $2, $3)",
        id.0,
        push.collection.0,
        push.user.0,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether this is being sent, and that something happened to it.
pub(crate) async fn touch(db: &PgPool, id: PushId, push: Push) -> sqlx::Result<bool> {
    let touched = sqlx::query!(
        "UPDATE pushes
         SET touched_at = now()
         WHERE id = $1 AND collection_id = $2 AND user_id = $3",
        id.0,
        push.collection.0,
        push.user.0,
    )
    .execute(db)
    .await?;
    Ok(touched.rows_affected() == 1)
}

/// Notes that it is over.
pub(crate) async fn end(db: &PgPool, id: PushId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM pushes WHERE id = $1", id.0)
        .execute(db)
        .await?;
    Ok(())
}

/// Ends those to which nothing happened for so long.
pub(crate) async fn end_silent(db: &PgPool, seconds: f64) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM pushes WHERE touched_at < now() - make_interval(secs => $1)",
        seconds,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Those of the ids that are being sent.
pub(crate) async fn known(db: &PgPool, ids: &[PushId]) -> sqlx::Result<Vec<PushId>> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let known = sqlx::query_scalar!("SELECT id FROM pushes WHERE id = ANY($1)", &ids[..])
        .fetch_all(db)
        .await?;
    Ok(known.into_iter().map(PushId).collect())
}
