//! One check of an image: which step is well, which is wrong, and what would be right.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};
use cooperage_protocol::check::{Progress, Step, Verdict};
use cooperage_protocol::{CheckId, CollectionName, RegistryCheck};
use serde::Deserialize;

use super::settings::Named;
use super::{Layout, format};
use crate::error::Error;
use crate::rights::Visit;
use crate::state::Hub;

#[derive(Template, WebTemplate)]
#[template(path = "check.html")]
pub(super) struct CheckPage {
    layout: Layout,
    collection: CollectionName,
    check: RegistryCheck,
}

impl CheckPage {
    fn steps(&self) -> &[Step] {
        match &self.check.progress {
            Progress::Answered { steps } => steps,
            _ => &[],
        }
    }

    /// Why the image cannot be had.
    fn wrong(&self) -> Option<&Step> {
        let mut steps = self.steps().iter();
        steps.find(|step| step.verdict == Verdict::Bad)
    }

    /// Why there is no answer.
    fn unanswered(&self) -> Option<&str> {
        match &self.check.progress {
            Progress::Unanswered { reason } => Some(reason),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Id {
    id: CheckId,
}

pub(super) async fn show(
    Named(collection): Named,
    State(hub): State<Hub>,
    visit: Visit,
    Path(Id { id }): Path<Id>,
) -> Result<CheckPage, Error> {
    Ok(CheckPage {
        layout: Layout::new(&visit, "home"),
        check: crate::find_check(&hub, &collection, id).await?,
        collection,
    })
}

/// The look and the word of how far a check is.
pub(super) fn state(progress: &Progress) -> (&'static str, &'static str) {
    match progress {
        Progress::Queued => ("queued", "waiting"),
        Progress::Running => ("running", "asking"),
        Progress::Answered { .. } if progress.is_good() => ("succeeded", "ok"),
        Progress::Answered { .. } => ("failed", "wrong"),
        Progress::Unanswered { .. } => ("", "no answer"),
    }
}

/// The look of a step.
fn look(step: &Step) -> &'static str {
    match step.verdict {
        Verdict::Good => "succeeded",
        Verdict::Note => "",
        Verdict::Bad => "failed",
    }
}
