//! The definition file: its grammar, and what is wrong with one.
//!
//! A definition goes through four steps: `source` makes text and places of bytes, `arguments`
//! fills in the build arguments, `scan` cuts stages, headers and sections, and `header` and
//! `stage` judge them. Everything that is wrong is reported at once, with its place.

mod agent;
mod app;
mod arguments;
mod diagnostic;
mod environment;
mod files;
mod header;
mod keys;
mod options;
mod redact;
mod render;
mod scan;
mod script;
mod source;
mod stage;
mod suggest;

use std::fmt;

use self::diagnostic::{Report, Text};
use self::keys::Secrets;
use self::scan::RawStage;
use self::source::Places;

pub use self::agent::{
    Account, Arch, Bootstrap, Debootstrap, Docker, Library, LocalImage, Oras, Registration,
    StoredImage, Yum, Zypper,
};
pub use self::app::App;
pub use self::diagnostic::{Diagnostic, Severity};
pub use self::files::{FileCopy, Files, FilesFrom};
pub use self::header::{Field, Header};
pub use self::options::{Mode, Options, Unused};
pub use self::render::render;
pub use self::script::Script;
pub use self::stage::{Sections, Stage};

/// More than anybody writes; a bound keeps the work linear for hostile input.
const MOST_STAGES: usize = 100;

/// What came of a definition's text.
pub struct Parsed {
    /// The definition; there is none exactly if a diagnostic is an error.
    pub definition: Option<Definition>,
    /// Everything there is to tell, in no particular order.
    pub diagnostics: Vec<Diagnostic>,
    secrets: Secrets,
}

impl Parsed {
    /// A part of the definition without the passwords and tokens of its headers.
    pub fn redact(&self, part: &str) -> String {
        redact::redact_values(part, &self.secrets)
    }

    /// The diagnostics without the passwords and tokens of the headers, which they may quote.
    pub fn redacted_diagnostics(&self) -> Vec<Diagnostic> {
        let redacted = |diagnostic: &Diagnostic| Diagnostic {
            message: self.redact(&diagnostic.message),
            help: diagnostic.help.as_deref().map(|help| self.redact(help)),
            ..diagnostic.clone()
        };
        self.diagnostics.iter().map(redacted).collect()
    }
}

impl fmt::Debug for Parsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Parsed")
            .field("definition", &self.definition)
            .field("diagnostics", &self.diagnostics)
            .finish_non_exhaustive()
    }
}

/// A definition that can be built.
#[derive(Clone)]
pub struct Definition {
    /// Its stages, at least one; the last one becomes the image.
    pub stages: Vec<Stage>,
    /// Its text with the build arguments filled in. It may hold a password.
    pub text: String,
    secrets: Secrets,
}

impl Definition {
    /// The text without the user names, passwords and tokens of its headers.
    ///
    /// # Security
    /// Only this form may be stored or shown.
    pub fn redacted(&self) -> String {
        redact::redact(&self.text, &self.secrets)
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Definition")
            .field("text", &self.redacted())
            .finish_non_exhaustive()
    }
}

/// Parses a definition; it never fails otherwise than by a diagnostic.
pub fn parse(text: &[u8], options: &Options) -> Parsed {
    let text = match source::decode(text) {
        Ok(text) => text,
        Err(diagnostic) => {
            return Parsed {
                definition: None,
                diagnostics: vec![diagnostic],
                secrets: Secrets::default(),
            };
        }
    };
    let mut report = Report::new(Places::new(text));
    let expanded = arguments::expand(text, options, &mut report);
    let mut raw: Vec<RawStage<'_>> = expanded
        .stages
        .iter()
        .map(|range| scan::stage(&expanded.text, range.clone()))
        .collect();
    raw.retain(|stage| !stage.is_empty());
    let (stages, secrets) = stages(&raw, &mut report);
    let definition = if report.errors() > 0 {
        None
    } else {
        Some(Definition {
            stages,
            text: expanded.text,
            secrets: secrets.clone(),
        })
    };
    Parsed {
        definition,
        diagnostics: report.into_diagnostics(),
        secrets,
    }
}

fn stages(raw: &[RawStage<'_>], report: &mut Report<'_>) -> (Vec<Stage>, Secrets) {
    if raw.is_empty() {
        let text = Text::new("definition is empty")
            .help("the least there can be is `Bootstrap: docker` and `From: …`");
        report.error("empty-definition", &(0..0), text);
    }
    let mut stages: Vec<Stage> = Vec::new();
    let mut names: Vec<Option<&str>> = Vec::new();
    let mut secrets = Secrets::default();
    let headers: Vec<header::Parsed> = raw
        .iter()
        .take(MOST_STAGES)
        .map(|stage| header::parse(stage, report))
        .collect();
    for (raw, parsed) in raw.iter().zip(&headers) {
        let sections = stage::sections(raw, &names, report);
        names.push(parsed.stage.as_deref());
        secrets.ranges.extend(parsed.secrets.ranges.iter().cloned());
        secrets.values.extend(parsed.secrets.values.iter().cloned());
        if let Some(header) = parsed.header.clone() {
            stages.push(Stage { header, sections });
        }
    }
    if let Some(stage) = raw.get(MOST_STAGES) {
        let text = Text::new(format!("definition has more than {MOST_STAGES} stages"));
        report.error("too-many-stages", &stage.range, text);
    }
    (stages, secrets)
}
