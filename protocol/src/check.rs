//! Whether a collection's accounts get an image from its registry, step by step. No step holds a
//! secret.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::CheckId;

/// A check that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistryCheck {
    /// Its id.
    pub id: CheckId,
    /// The image: `docker://…`, `oras://…`, or a reference alone.
    pub uri: String,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
}

/// How far a check is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Progress {
    /// It waits for a worker.
    Queued,
    /// A worker asks the registry.
    Running,
    /// A worker has asked.
    Answered {
        /// In the order in which they were done; the last one is `bad` if the image
        /// cannot be had.
        steps: Vec<Step>,
    },
    /// No worker answered.
    Unanswered {
        /// What was waited for.
        reason: String,
    },
}

impl Progress {
    /// Whether there is nothing more to wait for.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Answered { .. } | Self::Unanswered { .. })
    }

    /// Whether the image can be had.
    pub fn is_good(&self) -> bool {
        match self {
            Self::Answered { steps } => steps.iter().all(|step| step.verdict != Verdict::Bad),
            Self::Queued | Self::Running | Self::Unanswered { .. } => false,
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// What it is about.
    pub subject: Subject,
    /// Whether it is well.
    pub verdict: Verdict,
    /// What was found, in a sentence without its full stop.
    pub message: String,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The same for programs: `host`, `realm`, `scope`, `username` and others, as far as they are
    /// known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// What a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// What the reference names.
    Reference,
    /// Which account there is.
    Account,
    /// Whether the host answers, and is a registry.
    Host,
    /// What it wants to be told before it gives the image.
    Challenge,
    /// Whether it, or its token server, accepts the account.
    Login,
    /// Whether the image is there.
    Image,
}

impl Subject {
    /// The subject as it is written in JSON and on pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Account => "account",
            Self::Host => "host",
            Self::Challenge => "challenge",
            Self::Login => "login",
            Self::Image => "image",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Worth knowing, and no obstacle.
    Note,
    /// This is why the image cannot be had.
    Bad,
}

impl Verdict {
    /// The verdict as it is shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "wrong",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_keeps_its_steps_on_the_way_and_the_bad_one_decides() {
        let json = r#"{"id":"00000000-0000-0000-0000-000000000001","uri":"a",
            "asked_at":"2020-01-01T00:00:00Z","state":"answered","steps":[
            {"subject":"host","verdict":"good","message":"registry a answers"},
            {"subject":"login","verdict":"bad","message":"no","facts":{"status":"401"}}]}"#;

        let check: RegistryCheck = serde_json::from_str(json).unwrap();
        let again = serde_json::from_str(&serde_json::to_string(&check).unwrap());

        assert!(check.progress.is_final() && !check.progress.is_good());
        assert_eq!(again.ok(), Some(check));
    }
}
