//! Which accounts belong together?

use cooperage_protocol::accounts::Team;
use cooperage_protocol::{AccountName, TeamId};
use sqlx::PgPool;

/// Makes a team; false when the name is taken.
pub(crate) async fn insert(db: &PgPool, name: &AccountName) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO teams (id, name) VALUES ($1, $2) ON CONFLICT (lower(name)) DO NOTHING",
        TeamId::generate().0,
        name.as_str(),
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Ends a team, with its roles; false when there is none of this name.
pub(crate) async fn delete(db: &PgPool, name: &AccountName) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "DELETE FROM teams WHERE lower(name) = lower($1)",
        name.as_str()
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// All teams, by name.
pub(crate) async fn list(db: &PgPool) -> sqlx::Result<Vec<Team>> {
    sqlx::query_as!(
        Team,
        r#"SELECT name,
            ARRAY(
                SELECT users.name
                FROM team_members
                JOIN users ON users.id = team_members.user_id
                WHERE team_id = teams.id
                ORDER BY lower(users.name)
            ) AS "members!"
        FROM teams
        ORDER BY lower(name)"#,
    )
    .fetch_all(db)
    .await
}

/// Takes an account into a team; false when there is no such team or account.
pub(crate) async fn join(
    db: &PgPool,
    team: &AccountName,
    user: &AccountName,
) -> sqlx::Result<bool> {
    let joined = sqlx::query!(
        "INSERT INTO team_members (team_id, user_id)
        SELECT teams.id, users.id
        FROM teams, users
        WHERE lower(teams.name) = lower($1) AND lower(users.name) = lower($2)
        ON CONFLICT (team_id, user_id) DO UPDATE SET user_id = EXCLUDED.user_id",
        team.as_str(),
        user.as_str(),
    )
    .execute(db)
    .await?;
    Ok(joined.rows_affected() == 1)
}

/// Takes an account out of a team; false when it is not in it.
pub(crate) async fn leave(
    db: &PgPool,
    team: &AccountName,
    user: &AccountName,
) -> sqlx::Result<bool> {
    let left = sqlx::query!(
        "DELETE FROM team_members
        USING teams, users
        WHERE team_id = teams.id
            AND user_id = users.id
            AND lower(teams.name) = lower($1)
            AND lower(users.name) = lower($2)",
        team.as_str(),
        user.as_str(),
    )
    .execute(db)
    .await?;
    Ok(left.rows_affected() == 1)
}
