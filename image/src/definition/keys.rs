//! The keys of a header.

use std::collections::BTreeMap;
use std::ops::Range;

use super::diagnostic::{Report, Text, quoted};
use super::entries::{self, Entry, content};
use super::header::Field;
use super::old_keys::{self, Old};
use super::options::Mode;
use super::scan::{Cut, RawStage};
use super::secrets::{self, Secrets};
use super::source::Line;
use super::suggest;

/// The key that has a number behind it.
const NUMBERED: &str = "otherurl";

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
    NUMBERED,
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

/// The entries by key, of a repeated key the last one.
fn by_key(entries: Vec<Entry>, report: &mut Report<'_>) -> BTreeMap<String, Entry> {
    let mut by_key = BTreeMap::new();
    for entry in entries {
        let Some(entry) = known(entry, report) else {
            continue;
        };
        let range = entry.key_range.clone();
        if let Some(earlier) = by_key.insert(entry.key.clone(), entry) {
            let text = Text::new(format!("header key {} is repeated", quoted(&earlier.key)));
            let text = text.help("only the last one counts");
            report.warning("repeated-header-key", &range, text);
        }
    }
    by_key
}

/// An entry under the name that its key has today, if it has one.
fn known(mut entry: Entry, report: &mut Report<'_>) -> Option<Entry> {
    if is_known(&entry.key) {
        return Some(entry);
    }
    let Some(old) = old_keys::find(&entry.key) else {
        report_unknown(&entry, report);
        return None;
    };
    old_keys::report(old, &entry, report);
    match (report.mode(), old.is) {
        (Mode::Lenient, Old::Key(key)) => {
            key.clone_into(&mut entry.key);
            Some(entry)
        }
        (Mode::Modern, _) | (_, Old::Ignored) => None,
    }
}

fn is_known(key: &str) -> bool {
    let is_numbered =
        |number: &str| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    match key.strip_prefix(NUMBERED) {
        Some(number) => is_numbered(number),
        None => KEYS.contains(&key),
    }
}

fn report_unknown(entry: &Entry, report: &mut Report<'_>) {
    if report.skips_outdated() {
        return;
    }
    let key = quoted(&entry.key);
    let message = match report.mode() {
        Mode::Modern => format!("unknown header key {key}"),
        Mode::Lenient => format!("unknown header key {key} is left out"),
    };
    let help = suggest::help(&entry.key, KEYS, "");
    report.outdated(
        "unknown-header-key",
        &entry.key_range,
        Text::new(message).help(help),
    );
}

/// The keys of a header.
pub(super) struct Keys<'s> {
    entries: BTreeMap<String, Entry>,
    stage: &'s RawStage<'s>,
    /// Whether a line was not understood: what is missing may be in that line.
    pub(super) is_broken: bool,
}

impl<'s> Keys<'s> {
    /// Reads the keys of a stage's header, and notes what of them must not be shown.
    pub(super) fn read(
        stage: &'s RawStage<'s>,
        secrets: &mut Secrets,
        report: &mut Report<'_>,
    ) -> Self {
        let errors = report.errors();
        let entries = entries::read(&stage.header, secrets, report);
        let entries = by_key(entries, report);
        let is_broken = report.errors() > errors;
        Self {
            entries,
            stage,
            is_broken,
        }
    }

    /// Whether all there is stands above the `Bootstrap` that it belongs to.
    pub(super) fn precede_bootstrap(&self) -> bool {
        self.stage.cut == Cut::Above
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
        // What is missing may be in the part that is cut off, and that is told there.
        let is_told = self.stage.cut == Cut::Below && report.errors() > 0;
        if value.is_none() && !is_told {
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
        let shown = |entry: &&Entry| !secrets::is_secret(&entry.key);
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
