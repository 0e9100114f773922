//! Who has which role in a collection?

use cooperage_protocol::CollectionId;
use cooperage_protocol::accounts::{Member, Who};
use sqlx::PgPool;

/// The members of a collection: teams first, each by name.
pub(crate) async fn list(db: &PgPool, of: CollectionId) -> sqlx::Result<Vec<Member>> {
    let rows = sqlx::query!(
        r#"SELECT CASE WHEN team_id IS NULL THEN 'user' ELSE 'team' END AS "kind!",
            COALESCE(teams.name, users.name) AS "name!", role::text AS "role!"
        FROM collection_members
        LEFT JOIN users ON users.id = user_id
        LEFT JOIN teams ON teams.id = team_id
        WHERE collection_id = $1
        ORDER BY team_id IS NULL, lower(COALESCE(teams.name, users.name))"#,
        of.0,
    )
    .fetch_all(db)
    .await?;
    let members = rows.into_iter().map(|row| {
        let decode = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
        let name = row.name.parse().map_err(|error| decode(Box::new(error)))?;
        let who = Who::of(&row.kind, name).ok_or_else(|| decode("no kind of member".into()))?;
        let role = row.role.parse();
        Ok(Member {
            who,
            role: role.map_err(|error| decode(Box::new(error)))?,
        })
    });
    members.collect()
}

/// Gives somebody a role, in place of the one before; false when there is nobody of this name.
pub(crate) async fn put(
    db: &PgPool,
    collection: CollectionId,
    member: &Member,
) -> sqlx::Result<bool> {
    let (user, team) = names(&member.who);
    let put = sqlx::query!(
        "INSERT INTO collection_members (collection_id, user_id, team_id, role)
        SELECT $1, user_id, team_id, $4::text::collection_role
        FROM (
            SELECT id AS user_id, NULL::uuid AS team_id FROM users WHERE lower(name) = lower($2)
            UNION ALL
            SELECT NULL, id FROM teams WHERE lower(name) = lower($3)
        ) AS found
        ON CONFLICT ON CONSTRAINT collection_members_have_one_role
        DO UPDATE SET role = EXCLUDED.role",
        collection.0,
        user,
        team,
        member.role.as_str(),
    )
    .execute(db)
    .await?;
    Ok(put.rows_affected() == 1)
}

/// Takes somebody's role; false when they had none.
pub(crate) async fn delete(db: &PgPool, collection: CollectionId, who: &Who) -> sqlx::Result<bool> {
    let (user, team) = names(who);
    let deleted = sqlx::query!(
        "DELETE FROM collection_members
        WHERE collection_id = $1
            AND (user_id = (SELECT id FROM users WHERE lower(name) = lower($2))
                OR team_id = (SELECT id FROM teams WHERE lower(name) = lower($3)))",
        collection.0,
        user,
        team,
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

fn names(who: &Who) -> (Option<&str>, Option<&str>) {
    match who {
        Who::User(name) => (Some(name.as_str()), None),
        Who::Team(name) => (None, Some(name.as_str())),
    }
}
