//! The `Key: value` lines of a header.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::diagnostic::{Report, Text, quoted};
use super::header::Field;
use super::scan::RawStage;
use super::source::Line;
use super::suggest;

/// All keys there are; `otherurl` stands for `otherurl0`, `otherurl1`, ….
const KEYS: &[&str] = &[
    "bootstrap",
    "from",
    "includecmd",
    "mirrorurl",
    "updateurl",
    "osversion",
    "include",
    "library",
    "registry",
    "namespace",
    "stage",
    "product",
    "user",
    "regcode",
    "productpgp",
    "registerurl",
    "modules",
    "otherurl",
    "fingerprints",
    "confurl",
    "setopt",
    "target",
    "frontend",
    "filename",
    "buildargs",
    "username",
    "password",
    "token",
];

/// Keys whose values are never shown.
const SECRET_KEYS: &[&str] = &["username", "password", "token"];

/// Keys whose values are secrets also where they stand elsewhere in the definition.
const STRONG_SECRET_KEYS: &[&str] = &["password", "token"];

/// What is shown instead of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// What must not be shown.
#[derive(Default, Clone)]
pub(super) struct Secrets {
    pub(super) ranges: Vec<Range<usize>>,
    pub(super) values: Vec<String>,
}

pub(super) struct Entry {
    key: String,
    pub(super) key_range: Range<usize>,
    pub(super) value: String,
    pub(super) value_range: Range<usize>,
    /// Everything behind the colon, comments and continuations included.
    rest: Range<usize>,
}

/// The `key: value` lines, with lines that end in a backslash joined.
fn entries(lines: &[Line<'_>], report: &mut Report<'_>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut lines = lines.iter().peekable();
    while let Some(line) = lines.next() {
        let text = content(line);
        if text.is_empty() {
            continue;
        }
        let Some((key, first)) = text.split_once(':') else {
            report_missing_colon(line.range_of(text), text, report);
            continue;
        };
        let (key, first) = (key.trim(), first.trim());
        let mut entry = Entry {
            key: key.to_lowercase(),
            key_range: line.range_of(key),
            value: String::new(),
            value_range: line.range_of(first),
            rest: line.range_of(first).start..line.range().end,
        };
        let mut piece = first;
        while append(piece, &mut entry.value) {
            let Some(next) = lines.next_if(|next| !content(next).is_empty()) else {
                break;
            };
            piece = content(next);
            entry.rest.end = next.range().end;
        }
        entries.push(entry);
    }
    entries
}

/// Adds a piece to a value; tells whether the value goes on in the next line.
fn append(piece: &str, value: &mut String) -> bool {
    let Some(start) = piece.strip_suffix('\\') else {
        value.push_str(piece);
        return false;
    };
    match start.strip_suffix("\\n") {
        Some(start) => {
            value.push_str(start);
            value.push('\n');
        }
        None => value.push_str(start),
    }
    true
}

/// A line without its comment.
fn content<'a>(line: &Line<'a>) -> &'a str {
    line.text.split('#').next().unwrap_or_default().trim()
}

fn report_missing_colon(range: Range<usize>, text: &str, report: &mut Report<'_>) {
    let message = format!("header line {} has no colon", quoted(&without_secret(text)));
    let help = "a header line is `Key: value`; sections begin with a percent sign";
    report.error(
        "header-without-colon",
        &range,
        Text::new(message).help(help),
    );
}

/// A line as it may be shown: without the value if it is a secret of a header.
pub(super) fn without_secret(line: &str) -> Cow<'_, str> {
    let text = line.trim_start();
    let end = text.find(|letter: char| letter == ':' || letter.is_whitespace());
    let key = &text[..end.unwrap_or(text.len())];
    let has_colon = text[key.len()..].starts_with(':');
    let is_misspelt = has_colon && suggest::nearest(key, SECRET_KEYS).is_some();
    if !is_misspelt && !SECRET_KEYS.contains(&key.to_lowercase().as_str()) {
        return Cow::Borrowed(line);
    }
    let indentation = &line[..line.len() - text.len()];
    Cow::Owned(format!("{indentation}{key}: {REDACTED}"))
}

fn secrets(entries: &[Entry]) -> Secrets {
    let is_secret = |entry: &&Entry| SECRET_KEYS.contains(&entry.key.as_str());
    let is_strong = |entry: &&Entry| STRONG_SECRET_KEYS.contains(&entry.key.as_str());
    Secrets {
        ranges: entries
            .iter()
            .filter(is_secret)
            .map(|entry| entry.rest.clone())
            .collect(),
        values: entries
            .iter()
            .filter(is_strong)
            .map(|entry| entry.value.clone())
            .collect(),
    }
}

/// The entries by key, of a repeated key the last one.
fn by_key(entries: Vec<Entry>, report: &mut Report<'_>) -> BTreeMap<String, Entry> {
    let mut by_key = BTreeMap::new();
    for entry in entries {
        let stem = entry
            .key
            .trim_end_matches(|letter: char| letter.is_ascii_digit());
        let is_known = KEYS.contains(&entry.key.as_str()) || stem == "otherurl";
        if !is_known {
            report_unknown(&entry, report);
            continue;
        }
        let range = entry.key_range.clone();
        if let Some(earlier) = by_key.insert(entry.key.clone(), entry) {
            let text = Text::new(format!("header key {} is repeated", quoted(&earlier.key)));
            let text = text.help("only the last one counts");
            report.warning("repeated-header-key", &range, text);
        }
    }
    by_key
}

fn report_unknown(entry: &Entry, report: &mut Report<'_>) {
    if report.is_full() {
        return;
    }
    let text = Text::new(format!("unknown header key {}", quoted(&entry.key)));
    let help = suggest::help(&entry.key, KEYS, "");
    report.error("unknown-header-key", &entry.key_range, text.help(help));
}

/// The keys of a header.
pub(super) struct Keys<'s> {
    entries: BTreeMap<String, Entry>,
    stage: &'s RawStage<'s>,
    /// Whether a line was not understood: what is missing may be in that line.
    pub(super) is_broken: bool,
}

impl<'s> Keys<'s> {
    /// Reads the keys of a stage's header, and what of them must not be shown.
    pub(super) fn read(stage: &'s RawStage<'s>, report: &mut Report<'_>) -> (Self, Secrets) {
        let errors = report.errors();
        let entries = entries(&stage.header, report);
        let secrets = secrets(&entries);
        let entries = by_key(entries, report);
        let is_broken = report.errors() > errors;
        (
            Self {
                entries,
                stage,
                is_broken,
            },
            secrets,
        )
    }

    /// A key with its places.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// A value that is not empty.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        let value = self.entries.get(key).map(|entry| entry.value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// The values of `key0`, `key1`, … in the order of their numbers.
    pub(super) fn numbered(&self, stem: &str) -> Vec<String> {
        let number = |key: &str| key.strip_prefix(stem)?.parse::<u32>().ok();
        let numbered = self.entries.iter();
        let mut numbered: Vec<_> = numbered
            .filter_map(|(key, entry)| Some((number(key)?, entry.value.clone())))
            .collect();
        numbered.sort();
        numbered.into_iter().map(|(_, value)| value).collect()
    }

    /// The value of a key that the agent cannot do without.
    pub(super) fn required(
        &self,
        key: &str,
        spelling: &str,
        report: &mut Report<'_>,
    ) -> Option<String> {
        let value = self.value(key).map(str::to_owned);
        if value.is_none() {
            let agent = self.value("bootstrap").unwrap_or_default();
            let place = self
                .entries
                .get(key)
                .or_else(|| self.entries.get("bootstrap"));
            let range = place.map_or_else(|| self.start(), |entry| entry.key_range.clone());
            let text = Text::new(format!("agent {} needs `{spelling}`", quoted(agent)))
                .help(format!("add a line `{spelling}: …` to the header"));
            report.error("missing-header-key", &range, text);
        }
        value
    }

    /// All keys but those with secrets.
    pub(super) fn fields(&self, report: &Report<'_>) -> BTreeMap<String, Field> {
        let shown = |entry: &&Entry| !SECRET_KEYS.contains(&entry.key.as_str());
        let shown = self.entries.values().filter(shown);
        let field = |entry: &Entry| {
            let place = report.places().locate(&entry.value_range);
            Field {
                value: entry.value.clone(),
                line: place.line,
                column: place.column,
            }
        };
        shown
            .map(|entry| (entry.key.clone(), field(entry)))
            .collect()
    }

    /// Where something that is missing would stand: the first line with content.
    pub(super) fn start(&self) -> Range<usize> {
        let header = self
            .stage
            .header
            .iter()
            .find(|line| !content(line).is_empty());
        let section = self.stage.sections.first().map(|section| &section.line);
        let line = header.or(section);
        line.map_or(self.stage.range.start..self.stage.range.start, Line::range)
    }
}
