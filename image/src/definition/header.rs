//! The header of a stage.

use std::collections::BTreeMap;

use super::agent::Bootstrap;
use super::diagnostic::Report;
use super::header_agent;
use super::keys::Keys;
use super::scan::RawStage;
use super::secrets::Secrets;

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

/// What was understood of a header.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) bootstrap: Option<Bootstrap>,
    pub(super) stage: Option<String>,
    pub(super) fields: BTreeMap<String, Field>,
}

impl Parsed {
    /// What stands for a header that is not there.
    pub(super) fn of_no_base() -> Self {
        Self {
            bootstrap: Some(Bootstrap::Scratch),
            stage: None,
            fields: BTreeMap::new(),
        }
    }
}

/// Judges the header of a stage, and notes what of it must not be shown.
pub(super) fn parse(
    stage: &RawStage<'_>,
    secrets: &mut Secrets,
    report: &mut Report<'_>,
) -> Parsed {
    let keys = Keys::read(stage, secrets, report);
    Parsed {
        bootstrap: header_agent::bootstrap(&keys, report),
        stage: keys.value("stage").map(str::to_owned),
        fields: keys.fields(report),
    }
}
