//! What is somebody sending that is not whole yet?

use cooperage_protocol::{CollectionId, Digest, PushId, UserId};
use sqlx::PgPool;

use crate::error::Error;

/// Who sends something to which collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Push {
    /// Where it goes.
    pub(crate) collection: CollectionId,
    /// Who sends it; nobody else may go on with it.
    pub(crate) user: UserId,
}

/// What is being sent, as far as its sender said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    /// Where it goes, and who sends it.
    pub(crate) push: Push,
    /// The SHA-256 that it will have.
    pub(crate) digest: Digest,
}

/// Notes which SHA-256 it will have.
pub(crate) async fn expect(db: &PgPool, id: PushId, digest: Digest) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE pushes SET digest = $2 WHERE id = $1",
        id.0,
        digest.to_string(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What is being sent under this id, if its sender said which SHA-256 it will have.
pub(crate) async fn begun(db: &PgPool, id: PushId) -> Result<Option<Begun>, Error> {
    let row = sqlx::query!(
        "SELECT collection_id, user_id, digest FROM pushes WHERE id = $1",
        id.0
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let Some(digest) = row.digest else {
        return Ok(None);
    };
    Ok(Some(Begun {
        push: Push {
            collection: row.collection_id.into(),
            user: row.user_id.into(),
        },
        digest: digest.parse().map_err(anyhow::Error::from)?,
    }))
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
