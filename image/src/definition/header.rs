//! The header of a stage.

use std::collections::BTreeMap;

use super::agent::{self, Bootstrap};
use super::diagnostic::Report;
use super::keys::{Keys, Secrets};
use super::scan::RawStage;

/// The header of a stage.
#[derive(Debug, Clone)]
pub struct Header {
    /// Where the base comes from.
    pub bootstrap: Bootstrap,
    /// The stage's name, for `%files from`.
    pub stage: Option<String>,
    /// All keys in lower case, but for those with secrets.
    pub fields: BTreeMap<String, Field>,
}

/// A value of a header, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The value.
    pub value: String,
    /// Line of the value, from 1.
    pub line: u32,
    /// Column of the value, from 1.
    pub column: u32,
}

/// A header, and the places of its secrets.
pub(super) struct Parsed {
    pub(super) header: Option<Header>,
    /// The stage's name, also if the rest of the header is wrong.
    pub(super) stage: Option<String>,
    pub(super) secrets: Secrets,
}

/// Judges the header of a stage.
pub(super) fn parse(stage: &RawStage<'_>, report: &mut Report<'_>) -> Parsed {
    let (keys, secrets) = Keys::read(stage, report);
    let stage = keys.value("stage").map(str::to_owned);
    let header = agent::bootstrap(&keys, report).map(|bootstrap| Header {
        bootstrap,
        stage: stage.clone(),
        fields: keys.fields(report),
    });
    Parsed {
        header,
        stage,
        secrets,
    }
}
