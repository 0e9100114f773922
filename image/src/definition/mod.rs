//! The definition file: its grammar, and what is wrong with one.
//!
//! A definition goes through four steps: `source` makes text and places of bytes, `arguments`
//! fills in the build arguments, `scan` cuts stages, headers and sections, and `header` and
//! `stage` judge them. Everything that is wrong is reported at once, with its place.
//!
//! # Differences from Apptainer
//!
//! `tests/tools/compare-recipes` finds them. What Apptainer's parser lets pass and its build refuses
//! is refused here at once: arguments without a value, a stage without `Bootstrap` or with keys above
//! it, agents that do not exist, headers without a key that their agent needs, and `%files` of a
//! stage that is not there. Besides:
//!
//! - `Username`, `Password` and `Token` are keys; their values and that of `RegCode` are never shown.
//! - A section may have any length, and a continued header value may end with an empty line.
//! - The last line of a section always has an end, also in a file of one section and no header.
//! - `zypper` needs `MirrorURL` or a product to register: what the building machine has is not used.
//! - The agent `buildkit` is unknown, and those that only Singularity 2 had are named as such.

mod agent;
mod app;
mod arguments;
mod diagnostic;
mod entries;
mod environment;
mod files;
mod header;
mod header_agent;
mod keys;
mod lint;
mod names;
mod old_keys;
mod options;
mod redact;
mod render;
mod scan;
mod script;
mod secrets;
mod shown;
mod source;
mod stage;
mod suggest;

use std::collections::BTreeMap;
use std::fmt;

use self::arguments::Expanded;
use self::diagnostic::{Report, Text};
use self::lint::Linted;
use self::names::Section;
use self::scan::{Cut, RawStage};
use self::secrets::Secrets;
use self::source::{Decoded, Places};

pub use self::agent::{
    Account, Arch, Bootstrap, Debootstrap, Docker, Library, LocalImage, Oras, Registration,
    StoredImage, Yum, Zypper,
};
pub use self::app::App;
pub use self::diagnostic::{Diagnostic, Severity};
pub use self::files::{FileCopy, Files, FilesFrom};
pub use self::header::{Field, Header};
pub use self::options::{HeaderNeed, Mode, Options, Unused};
pub use self::render::render;
pub use self::script::Script;
pub use self::shown::ShownText;
pub use self::stage::{Sections, Stage};

/// More than anybody writes; a bound keeps the work linear for hostile input.
const MOST_STAGES: usize = 100;

/// What came of a definition's text.
pub struct Parsed {
    /// The definition; there is none exactly if a diagnostic is an error.
    pub definition: Option<Definition>,
    /// Everything there is to tell, in no particular order, without the passwords and tokens that
    /// the headers have.
    pub diagnostics: Vec<Diagnostic>,
    /// What was understood of the stages, if there is no definition.
    refused: Vec<Understood>,
    secrets: Secrets,
}

/// What was understood of a stage, whether it can be built or not.
#[derive(Debug, Clone, Copy)]
pub struct Outline<'a> {
    /// The keys of its header, but for those with secrets.
    pub fields: &'a BTreeMap<String, Field>,
    /// Its sections.
    pub sections: &'a Sections,
}

impl Parsed {
    /// A part of the definition without the passwords and tokens of its headers.
    pub fn redact(&self, part: &str) -> String {
        redact::redact_values(part, &self.secrets)
    }

    /// What may be shown of the definition that was parsed.
    pub fn shown(&self, definition: &[u8]) -> ShownText {
        ShownText::new(definition, &self.secrets)
    }

    /// What was understood of the stages, also if there is no definition.
    pub fn outlines(&self) -> Vec<Outline<'_>> {
        let built = self.definition.iter().flat_map(|it| &it.stages);
        let built = built.map(|stage| Outline {
            fields: &stage.header.fields,
            sections: &stage.sections,
        });
        let refused = self.refused.iter().map(|stage| Outline {
            fields: &stage.header.fields,
            sections: &stage.sections,
        });
        built.chain(refused).collect()
    }

    /// This is no text; what looked like secrets in it stays one.
    fn unreadable(self, diagnostic: Diagnostic) -> Self {
        Self {
            definition: None,
            diagnostics: vec![diagnostic],
            refused: Vec::new(),
            secrets: self.secrets,
        }
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
    let decoded = source::decode(text);
    let parsed = parse_text(&decoded, options);
    match source::binary(text) {
        Some(diagnostic) => parsed.unreadable(diagnostic),
        None => parsed,
    }
}

fn parse_text(decoded: &Decoded<'_>, options: &Options) -> Parsed {
    let mut report = Report::new(Places::new(&decoded.text), options.mode);
    report_latin_1(decoded, &mut report);
    let expanded = arguments::expand(&decoded.text, options, &mut report);
    let raw = raw_stages(&expanded, options.mode);
    let (understood, secrets) = stages(&raw, options.header, &mut report);
    let (definition, refused) = if report.errors() > 0 {
        (None, understood)
    } else {
        let stages = understood.into_iter().filter_map(Understood::complete);
        let definition = Definition {
            stages: stages.collect(),
            text: expanded.text,
            secrets: secrets.clone(),
        };
        (Some(definition), Vec::new())
    };
    Parsed {
        definition,
        diagnostics: told(report, &secrets),
        refused,
        secrets,
    }
}

/// The diagnostics, which may quote a secret.
fn told(report: Report<'_>, secrets: &Secrets) -> Vec<Diagnostic> {
    let redact = |message: &String| redact::redact_message(message, secrets);
    let redacted = |diagnostic: Diagnostic| Diagnostic {
        message: redact(&diagnostic.message),
        help: diagnostic.help.as_ref().map(redact),
        ..diagnostic
    };
    let diagnostics = report.into_diagnostics().into_iter();
    diagnostics.map(redacted).collect()
}

fn report_latin_1(decoded: &Decoded<'_>, report: &mut Report<'_>) {
    if let Some(position) = decoded.latin_1 {
        let text = Text::new("definition is not UTF-8: what is not is taken for Latin-1")
            .help("save the file in UTF-8");
        report.warning("not-utf-8", &(position..position), text);
    }
}

/// The stages that hold anything.
fn raw_stages(expanded: &Expanded, mode: Mode) -> Vec<RawStage<'_>> {
    let ranges = expanded.stages.iter();
    let mut stages: Vec<_> = ranges
        .map(|range| scan::stage(&expanded.text, range.clone(), mode))
        .filter(|stage| !stage.is_empty())
        .collect();
    if let [above, below, ..] = &mut stages[..]
        && above.sections.is_empty()
        && !above.begins_with_bootstrap(&expanded.text)
    {
        above.cut = Cut::Above;
        below.cut = Cut::Below;
    }
    stages
}

/// A stage of a definition that may be refused.
#[derive(Debug)]
struct Understood {
    header: header::Parsed,
    sections: Sections,
}

impl Understood {
    /// The stage, if nothing is missing.
    fn complete(self) -> Option<Stage> {
        let bootstrap = self.header.bootstrap?;
        Some(Stage {
            header: Header {
                bootstrap,
                stage: self.header.stage,
                fields: self.header.fields,
            },
            sections: self.sections,
        })
    }
}

fn stages(
    raw: &[RawStage<'_>],
    need: HeaderNeed,
    report: &mut Report<'_>,
) -> (Vec<Understood>, Secrets) {
    if raw.is_empty() {
        let text = Text::new("definition is empty")
            .help("the least there can be is `Bootstrap: docker` and `From: …`");
        report.error("empty-definition", &(0..0), text);
    }
    let may_lack_header = need == HeaderNeed::Optional && raw.len() == 1;
    let mut stages = Vec::new();
    let mut names: Vec<Option<String>> = Vec::new();
    let mut secrets = Secrets::default();
    let mut judged = Vec::new();
    for raw in raw.iter().take(MOST_STAGES) {
        let header = if may_lack_header && raw.has_no_header() {
            header::Parsed::of_no_base()
        } else {
            header::parse(raw, &mut secrets, report)
        };
        let resolved = names::resolve(&raw.sections, report);
        let sections = stage::sections(&resolved, &names, report);
        names.push(header.stage.clone());
        judged.push(resolved);
        stages.push(Understood { header, sections });
    }
    if let Some(stage) = raw.get(MOST_STAGES) {
        let text = Text::new(format!("definition has more than {MOST_STAGES} stages"));
        report.error("too-many-stages", &stage.range, text);
    }
    if report.errors() == 0 {
        lint(raw, &stages, &judged, report);
    }
    (stages, secrets)
}

/// Tells what could be better in stages in which nothing is wrong.
fn lint(
    raw: &[RawStage<'_>],
    stages: &[Understood],
    judged: &[Vec<Section<'_, '_>>],
    report: &mut Report<'_>,
) {
    for ((raw, stage), sections) in raw.iter().zip(stages).zip(judged) {
        let header = &stage.header;
        let linted = Linted {
            raw,
            header,
            sections,
        };
        lint::stage(&linted, report);
    }
}
