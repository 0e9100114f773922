//! The queue, what runs, and who runs it.

use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, TimeDelta, Utc};
use cooperage_protocol::admin::Worker;
use cooperage_protocol::{BuildId, BuildState};

use super::{Layout, format};
use crate::db::views::{self, BuildRow, Builds};
use crate::error::Error;
use crate::rights::Visit;
use crate::state::Hub;

const SHOWN: i64 = 200;
const RECENT: i64 = 20;

/// The route of the queue.
pub(super) fn router() -> Router<Hub> {
    Router::new().route("/queue", get(show))
}

#[derive(Template, WebTemplate)]
#[template(path = "queue.html")]
struct QueuePage {
    layout: Layout,
    queued: Vec<BuildRow>,
    running: Vec<BuildRow>,
    recent: Vec<BuildRow>,
    workers: Vec<Worker>,
}

impl QueuePage {
    fn name_of(&self, build: &BuildId) -> String {
        let build = self.running.iter().find(|running| running.id == *build);
        build.map_or_else(
            || "a build".to_owned(),
            |build| format!("{}:{}", build.collection, build.tag),
        )
    }
}

async fn show(State(hub): State<Hub>, visit: Visit) -> Result<QueuePage, Error> {
    let sight = visit.caller.sight();
    let mut queued = views::builds(&hub.db, Builds::In(BuildState::Queued), sight, SHOWN).await?;
    queued.reverse();
    let mut recent = views::builds(&hub.db, Builds::All, sight, RECENT).await?;
    recent.retain(|build| build.state.is_final());
    Ok(QueuePage {
        layout: Layout::new(&visit, "queue"),
        queued,
        running: views::builds(&hub.db, Builds::In(BuildState::Running), sight, SHOWN).await?,
        recent,
        workers: views::workers(&hub.db, sight).await?,
    })
}

/// A worker asks for builds at least once a minute.
fn is_away(seen_at: Option<&DateTime<Utc>>) -> bool {
    seen_at.is_none_or(|seen_at| Utc::now() - *seen_at > TimeDelta::minutes(2))
}
