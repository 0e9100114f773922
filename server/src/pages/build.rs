//! A build: its state, its phases, why it failed, and its log as it grows.

use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use cooperage_protocol::{BuildId, BuildState};

use super::annotated::Annotated;
use super::logs::{self, Piece};
use super::recipe::{self, SourceLine};
use super::{Layout, format};
use crate::db::logs as log_chunks;
use crate::db::views::{self, BuildRow, PhaseRow};
use crate::error::Error;
use crate::rights::Visit;
use crate::routes::find_build;
use crate::state::Hub;

/// A longer log is shown by its end.
const TAIL_BYTES: i64 = 128 * 1024;

/// The route of builds.
pub(super) fn router() -> Router<Hub> {
    Router::new().route("/builds/{id}", get(show))
}

#[derive(Template, WebTemplate)]
#[template(path = "build.html")]
struct BuildPage {
    layout: Layout,
    build: BuildRow,
    phases: Vec<PhaseRow>,
    source: Vec<SourceLine>,
    recipe: Annotated,
    log: LogTail,
}

struct LogTail {
    pieces: Vec<Piece>,
    /// Where the tail begins in the whole log.
    start: i64,
    /// Where the script goes on.
    end: i64,
}

impl BuildPage {
    fn is_stoppable(&self) -> bool {
        !self.build.state.is_final() && !self.build.cancel_requested
    }

    /// A phase that nobody ended is over when its attempt is.
    fn is_current(&self, phase: &PhaseRow) -> bool {
        self.build.state.0 == BuildState::Running
            && phase.attempt == self.build.attempt
            && phase.ended_at.is_none()
    }

    /// How a phase is marked: the last one of a build that failed is where it failed.
    fn mark(&self, phase: &PhaseRow) -> &'static str {
        let is_last = self.phases.last() == Some(phase);
        match self.build.state.0 {
            _ if self.is_current(phase) => "current",
            BuildState::Failed if is_last => "broken",
            _ => "over",
        }
    }

    fn phase_duration(&self, phase: &PhaseRow) -> String {
        let end = phase.ended_at.or(self.build.finished_at);
        format::duration(&phase.started_at, end.as_ref())
    }

    fn has_attempts(&self) -> bool {
        self.phases.iter().any(|phase| phase.attempt > 1)
    }
}

async fn show(
    State(hub): State<Hub>,
    visit: Visit,
    Path(id): Path<BuildId>,
) -> Result<BuildPage, Error> {
    let build = find_build(&hub, id).await?;
    let text = recipe::text(&hub, &build).await?;
    let recipe = Annotated::new(&text, views::in_order(build.diagnostics.0.clone()));
    Ok(BuildPage {
        layout: Layout::new(&visit, "home"),
        phases: views::phases(&hub.db, id).await?,
        source: source(&build, &text, &recipe),
        recipe,
        log: tail(&hub, id, !build.state.is_final()).await?,
        build,
    })
}

/// The lines around a failure's place, unless the recipe shows it anyway.
fn source(build: &BuildRow, text: &[String], recipe: &Annotated) -> Vec<SourceLine> {
    match &build.failure {
        Some(failure) if !recipe.shows_an_error() => recipe::around(text, failure),
        _ => Vec::new(),
    }
}

/// The end of the log, from the beginning of a line on.
async fn tail(hub: &Hub, id: BuildId, is_growing: bool) -> Result<LogTail, Error> {
    let length = log_chunks::length(&hub.db, id).await?;
    let mut start = (length - TAIL_BYTES).max(0);
    let mut bytes = Vec::new();
    loop {
        let offset = start + i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let pieces = log_chunks::read(&hub.db, id, offset).await?;
        if pieces.is_empty() {
            break;
        }
        bytes.extend(pieces.into_iter().flat_map(|piece| piece.bytes));
    }
    // The script goes on at a whole line, so that no character is cut in two.
    if is_growing {
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |line| line + 1);
        bytes.truncate(whole);
    }
    let end = start + i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    if start > 0
        && let Some(line) = bytes.iter().position(|byte| *byte == b'\n')
    {
        bytes.drain(..=line);
        start = end - i64::try_from(bytes.len()).unwrap_or_default();
    }
    Ok(LogTail {
        pieces: logs::render(&String::from_utf8_lossy(&bytes)),
        start,
        end,
    })
}
