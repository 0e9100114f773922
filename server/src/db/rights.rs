//! Which collection is meant, who sees it, and which role has somebody in it?

use cooperage_protocol::{BuildId, CollectionId, CollectionName, DeliveryId, PushId, UserId};
use sqlx::PgPool;
use uuid::Uuid;

use crate::rights::Collection;

struct Row {
    id: Uuid,
    name: String,
    visibility: String,
    role: Option<String>,
}

impl Row {
    fn read(self) -> sqlx::Result<Collection> {
        let decode = |error| sqlx::Error::Decode(Box::new(error));
        Ok(Collection {
            id: self.id.into(),
            name: self.name,
            visibility: self.visibility.parse().map_err(decode)?,
            role: self
                .role
                .map(|role| role.parse().map_err(decode))
                .transpose()?,
        })
    }
}

/// The collection of this name, in whatever capitals.
pub(crate) async fn of_collection(
    db: &PgPool,
    name: &CollectionName,
    person: Option<UserId>,
) -> sqlx::Result<Option<Collection>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, name, visibility, role_in(id, $2)::text AS role
         FROM collections
         WHERE lower(name) = lower($1)"#,
        name.to_string(),
        person.map(|person| person.0),
    )
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}

/// The collection of a build.
pub(crate) async fn of_build(
    db: &PgPool,
    build: BuildId,
    person: Option<UserId>,
) -> sqlx::Result<Option<Collection>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT collections.id, name, visibility, role_in(collections.id, $2)::text AS role
         FROM builds
         JOIN collections ON collections.id = builds.collection_id
         WHERE builds.id = $1"#,
        build.0,
        person.map(|person| person.0),
    )
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}

/// The collection that a delivery was sent to.
pub(crate) async fn of_delivery(
    db: &PgPool,
    delivery: DeliveryId,
    person: Option<UserId>,
) -> sqlx::Result<Option<Collection>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT collections.id, name, visibility, role_in(collections.id, $2)::text AS role
         FROM deliveries
         JOIN collections ON collections.id = deliveries.collection_id
         WHERE deliveries.id = $1"#,
        delivery.0,
        person.map(|person| person.0),
    )
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}

/// The collection of this id.
pub(crate) async fn of_id(
    db: &PgPool,
    id: CollectionId,
    person: Option<UserId>,
) -> sqlx::Result<Option<Collection>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, name, visibility, role_in(id, $2)::text AS role
         FROM collections
         WHERE id = $1"#,
        id.0,
        person.map(|person| person.0),
    )
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}

/// The collection to which somebody pushes; nobody else knows of it.
pub(crate) async fn of_push(
    db: &PgPool,
    id: PushId,
    person: Option<UserId>,
) -> sqlx::Result<Option<Collection>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT collections.id, name, visibility, role_in(collections.id, $2)::text AS role
         FROM pushes
         JOIN collections ON collections.id = pushes.collection_id
         WHERE pushes.id = $1 AND pushes.user_id = $2"#,
        id.0,
        person.map(|person| person.0),
    )
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}
