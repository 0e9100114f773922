//! Reading builds and their phases.

use chrono::{DateTime, Utc};
use cooperage_protocol::admin::{Build, BuiltImage};
use cooperage_protocol::{BuildId, BuildState, CollectionId, CollectionName, Diagnostic, Failure};
use sqlx::PgPool;
use sqlx::types::Json;

use super::{Sight, Window};

/// Which builds are meant.
#[derive(Debug, Clone, Copy)]
pub enum Builds<'a> {
    /// This one.
    One(BuildId),
    /// Those of a collection.
    Of(&'a CollectionName),
    /// Those of a collection in a state.
    OfIn(&'a CollectionName, BuildState),
    /// Those in a state.
    In(BuildState),
    /// All of them.
    All,
}

/// A build and what its page says of it.
#[derive(Debug)]
pub struct BuildRow {
    /// Its id.
    pub id: BuildId,
    /// Its collection.
    pub collection: String,
    /// The collection's id.
    pub collection_id: CollectionId,
    /// Path of the definition in the repository.
    pub recipe: String,
    /// The git blob of the definition.
    pub recipe_blob: String,
    /// The commit in hex.
    pub commit: String,
    /// The branch or tag of git.
    pub git_ref: String,
    /// The tag its image gets.
    pub tag: String,
    /// Further tags of its image.
    pub aliases: Vec<String>,
    /// Why it gets another tag than the recipe's name says.
    pub tag_note: Option<String>,
    /// Where it stands.
    pub state: Json<BuildState>,
    /// Which attempt, from 1.
    pub attempt: i32,
    /// Whether it was asked for with or without the step cache.
    pub step_cache: String,
    /// Who has or had it.
    pub worker: Option<String>,
    /// Whether somebody asked to stop it.
    pub cancel_requested: bool,
    /// Why it has no image.
    pub failure: Option<Json<Failure>>,
    /// What its last attempt told of the definition.
    pub diagnostics: Json<Vec<Diagnostic>>,
    /// The digest of its image.
    pub digest: Option<String>,
    /// The size of its image.
    pub size_bytes: Option<i64>,
    /// When it was queued.
    pub queued_at: DateTime<Utc>,
    /// When its last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Builds of the collections in sight, newest first.
pub async fn builds(
    db: &PgPool,
    which: Builds<'_>,
    sight: Sight,
    window: impl Into<Window>,
) -> sqlx::Result<Vec<BuildRow>> {
    let window = window.into();
    let (id, collection, state) = match which {
        Builds::One(id) => (Some(id.0), None, None),
        Builds::OfIn(name, state) => (None, Some(name.to_string()), Some(state.as_str())),
        Builds::Of(name) => (None, Some(name.to_string()), None),
        Builds::In(state) => (None, None, Some(state.as_str())),
        Builds::All => (None, None, None),
    };
    sqlx::query_as!(
        BuildRow,
        r#"SELECT builds.id, collections.name AS collection, collections.id AS collection_id,
            recipe, recipe_blob, commit_sha AS commit, git_ref, tag, aliases, tag_note,
            to_jsonb(state) AS "state!: Json<BuildState>", attempt, builds.step_cache,
            workers.name AS "worker?", cancel_requested,
            failure AS "failure: Json<Failure>",
            diagnostics AS "diagnostics: Json<Vec<Diagnostic>>",
            images.digest AS "digest?", images.size_bytes AS "size_bytes?",
            queued_at, started_at, finished_at
        FROM builds
        JOIN collections ON collections.id = builds.collection_id
        LEFT JOIN workers ON workers.id = builds.worker_id
        LEFT JOIN images ON images.build_id = builds.id
        WHERE ($1::uuid IS NULL OR builds.id = $1)
            AND ($2::text IS NULL OR lower(collections.name) = lower($2))
            AND ($3::text IS NULL OR builds.state = $3::text::build_state)
            AND is_seen(collections.id, visibility, $5, $6)
        ORDER BY queued_at DESC, builds.id DESC
        LIMIT $4 OFFSET $7"#,
        id,
        collection,
        state,
        window.limit,
        sight.person(),
        sight.everything,
        window.offset,
    )
    .fetch_all(db)
    .await
}

/// One build.
pub async fn build(db: &PgPool, id: BuildId) -> sqlx::Result<Option<BuildRow>> {
    Ok(builds(db, Builds::One(id), Sight::EVERYTHING, Window::ALL)
        .await?
        .pop())
}

impl TryFrom<BuildRow> for Build {
    type Error = anyhow::Error;

    fn try_from(row: BuildRow) -> Result<Self, Self::Error> {
        let image = match (row.digest, row.size_bytes) {
            (Some(digest), Some(size)) => Some(BuiltImage {
                digest: digest.parse()?,
                size: size.try_into()?,
            }),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            collection: row.collection.parse()?,
            recipe: row.recipe,
            tag: row.tag.parse()?,
            commit: row.commit,
            state: row.state.0,
            attempt: row.attempt,
            step_cache: row.step_cache.parse()?,
            failure: row.failure.map(|Json(failure)| failure),
            diagnostics: in_order(row.diagnostics.0),
            image,
            queued_at: row.queued_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

/// Diagnostics as they stand in the definition.
pub fn in_order(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    diagnostics
}

/// A phase of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub struct PhaseRow {
    /// Which attempt.
    pub attempt: i32,
    /// Its short name.
    pub name: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

impl PhaseRow {
    /// Its name for people: most are words already.
    pub fn words(&self) -> &str {
        match self.name.as_str() {
            "step" => "scripts and files, from the step cache",
            name => name,
        }
    }
}

/// The phases of a build in the order in which they began.
pub async fn phases(db: &PgPool, build: BuildId) -> sqlx::Result<Vec<PhaseRow>> {
    sqlx::query_as!(
        PhaseRow,
        "SELECT attempt, name, started_at, ended_at
        FROM build_phases
        WHERE build_id = $1
        ORDER BY attempt, started_at, ended_at NULLS LAST",
        build.0,
    )
    .fetch_all(db)
    .await
}
