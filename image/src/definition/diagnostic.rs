//! What a diagnostic is, and how many of them are collected.

use std::ops::Range;

use super::options::Mode;
use super::source::{Place, Places};

/// More than a person reads; a bound also keeps the work linear for hostile input.
const MOST_DIAGNOSTICS: usize = 50;

/// What is said once of all that the lenient mode takes.
const LENIENT: &str =
    "lenient mode (`--lenient`, or the collection's setting) reads it as Singularity 2 did";

/// Something to tell about a definition, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the build.
    pub severity: Severity,
    /// A stable short name, lower case with hyphens.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters, at least 1.
    pub length: u32,
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The definition cannot be built.
    Error,
    /// It can, but something is likely wrong.
    Warning,
    /// It can, and something could be better.
    Advice,
}

impl Severity {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Advice => "advice",
        }
    }
}

impl Diagnostic {
    /// Whether it stops the build.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Collects diagnostics; all ranges are bytes of the text after build arguments were filled in.
pub(super) struct Report<'a> {
    places: Places<'a>,
    mode: Mode,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    has_outdated: bool,
}

impl<'a> Report<'a> {
    pub(super) fn new(places: Places<'a>, mode: Mode) -> Self {
        Self {
            places,
            mode,
            diagnostics: Vec::new(),
            errors: 0,
            has_outdated: false,
        }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn places(&self) -> &Places<'a> {
        &self.places
    }

    pub(super) fn places_mut(&mut self) -> &mut Places<'a> {
        &mut self.places
    }

    /// How many errors there were, also those that are not told.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Whether one more of [`outdated`](Self::outdated) would not be told; spares the work of
    /// wording it. It is counted nevertheless.
    pub(super) fn skips_outdated(&mut self) -> bool {
        let is_full = self.diagnostics.len() >= MOST_DIAGNOSTICS;
        let skips = is_full && (self.mode == Mode::Lenient || self.errors > 0);
        if skips && self.mode == Mode::Modern {
            self.errors += 1;
        }
        skips
    }

    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    pub(super) fn error(&mut self, code: &'static str, at: &Range<usize>, text: Text) {
        self.errors += 1;
        self.add(Severity::Error, code, |places| places.locate(at), text);
    }

    pub(super) fn warning(&mut self, code: &'static str, at: &Range<usize>, text: Text) {
        self.add(Severity::Warning, code, |places| places.locate(at), text);
    }

    pub(super) fn advice(&mut self, code: &'static str, at: &Range<usize>, text: Text) {
        self.add(Severity::Advice, code, |places| places.locate(at), text);
    }

    /// What only Singularity 2 took: an error, and in the lenient mode a warning.
    pub(super) fn outdated(&mut self, code: &'static str, at: &Range<usize>, text: Text) {
        if self.mode == Mode::Lenient {
            return self.warning(code, at, text);
        }
        let text = if self.has_outdated {
            text
        } else {
            text.and_lenient()
        };
        self.has_outdated = true;
        self.error(code, at, text);
    }

    /// An error whose range counts in the text before arguments were filled in.
    pub(super) fn error_in_original(&mut self, code: &'static str, at: &Range<usize>, text: Text) {
        self.errors += 1;
        self.add(
            Severity::Error,
            code,
            |places| places.locate_original(at),
            text,
        );
    }

    fn add<L>(&mut self, severity: Severity, code: &'static str, locate: L, text: Text)
    where
        L: FnOnce(&Places<'a>) -> Place,
    {
        let full = self.diagnostics.len() >= MOST_DIAGNOSTICS;
        let needed = severity == Severity::Error
            && full
            && !self.diagnostics.iter().any(Diagnostic::is_error);
        if full && !needed {
            return;
        }
        let place = locate(&self.places);
        self.diagnostics.push(Diagnostic {
            severity,
            code,
            message: text.message,
            help: text.help,
            line: place.line,
            column: place.column,
            length: place.length,
        });
    }
}

/// What a diagnostic says.
pub(super) struct Text {
    message: String,
    help: Option<String>,
}

impl Text {
    pub(super) fn new<M: Into<String>>(message: M) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    /// Says that there is the lenient mode, after the help.
    fn and_lenient(self) -> Self {
        match self.help.clone() {
            Some(question) if question.ends_with('?') => {
                self.help(format!("{question} The {LENIENT}"))
            }
            Some(help) => self.help(format!("{help}; the {LENIENT}")),
            None => self.help(format!("the {LENIENT}")),
        }
    }

    pub(super) fn help<H: Into<String>>(mut self, help: H) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What stands for the rest of a long quotation.
pub(super) const CUT: char = '…';

/// User input as it may stand in a message: short, and without control characters.
pub(super) fn quoted(word: &str) -> String {
    let shown = |letter: char| {
        if letter.is_control() {
            '\u{fffd}'
        } else {
            letter
        }
    };
    let mut short: String = word.chars().take(60).map(shown).collect();
    if word.chars().nth(60).is_some() {
        short.push(CUT);
    }
    format!("`{short}`")
}
