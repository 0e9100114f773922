//! What is an attempt of a build doing, and since when?

use cooperage_protocol::BuildId;
use sqlx::{PgConnection, PgPool};

/// Begins a phase and ends the one before; repeating it changes nothing.
pub async fn start(db: &PgPool, build: BuildId, attempt: i32, name: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH ended AS (
             UPDATE build_phases
             SET ended_at = now()
             WHERE build_id = $1 AND attempt = $2 AND ended_at IS NULL AND name <> $3
         ), started AS (
             INSERT INTO build_phases (build_id, attempt, name)
             VALUES ($1, $2, $3)
             ON CONFLICT (build_id, attempt, name) DO UPDATE SET ended_at = NULL
         )
         SELECT pg_notify('build_state', $1::uuid::text)::text AS notified",
        build.0,
        attempt,
        name,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Ends whatever phase an attempt is in.
pub async fn close(db: &mut PgConnection, build: BuildId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE build_phases SET ended_at = now() WHERE build_id = $1 AND ended_at IS NULL",
        build.0,
    )
    .execute(db)
    .await?;
    Ok(())
}
