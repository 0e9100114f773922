//! The `Key: value` lines of a header.

use std::ops::Range;

use super::diagnostic::{Report, Text, quoted};
use super::options::Mode;
use super::secrets::{Secrets, without_secret};
use super::source::Line;

/// A key with its value and their places.
pub(super) struct Entry {
    /// In lower case.
    pub(super) key: String,
    pub(super) key_range: Range<usize>,
    pub(super) value: String,
    pub(super) value_range: Range<usize>,
    /// Everything behind the colon, comments and continuations included.
    rest: Range<usize>,
}

/// The entries of a header, with lines that end in a backslash joined.
pub(super) fn read(
    lines: &[Line<'_>],
    secrets: &mut Secrets,
    report: &mut Report<'_>,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut lines = lines.iter().peekable();
    while let Some(line) = lines.next() {
        let text = content(line);
        if text.is_empty() {
            continue;
        }
        let Some((key, first)) = text.split_once(':') else {
            report_missing_colon(line, text, report);
            note_secret(line, text, secrets);
            continue;
        };
        let mut entry = Entry::new(line, key.trim(), first.trim());
        let mut piece = first.trim();
        while append(piece, &mut entry.value) {
            let Some(next) = lines.next_if(|next| !content(next).is_empty()) else {
                break;
            };
            piece = content(next);
            entry.rest.end = next.range().end;
        }
        secrets.note(&entry.key, &entry.value, entry.rest.clone());
        entries.push(entry);
    }
    entries
}

impl Entry {
    fn new(line: &Line<'_>, key: &str, first: &str) -> Self {
        Self {
            key: key.to_lowercase(),
            key_range: line.range_of(key),
            value: String::new(),
            value_range: line.range_of(first),
            rest: line.range_of(first).start..line.range().end,
        }
    }
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
pub(super) fn content<'a>(line: &Line<'a>) -> &'a str {
    line.text.split('#').next().unwrap_or_default().trim()
}

fn report_missing_colon(line: &Line<'_>, text: &str, report: &mut Report<'_>) {
    if report.skips_outdated() {
        return;
    }
    let shown = quoted(&without_secret(text));
    let message = match report.mode() {
        Mode::Modern => format!("header line {shown} has no colon"),
        Mode::Lenient => format!("header line {shown} is left out: it has no colon"),
    };
    let help = "a header line is `Key: value`; sections begin with a percent sign";
    report.outdated(
        "header-without-colon",
        &line.range_of(text),
        Text::new(message).help(help),
    );
}

/// A password stays one where its colon was forgotten.
fn note_secret(line: &Line<'_>, text: &str, secrets: &mut Secrets) {
    if let Some((key, value)) = text.split_once(char::is_whitespace) {
        let value = value.trim();
        let range = line.range_of(value).start..line.range().end;
        secrets.note(&key.to_lowercase(), value, range);
    }
}
