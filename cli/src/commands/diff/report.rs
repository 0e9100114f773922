//! How are differences shown, as they are found?

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use cooperage_image::diff::{Change, Difference, Fact, Subject, Value};
use serde_json::json;
use similar::{ChangeTag, TextDiff};

use crate::output::{self, Format};

/// Digits of a hash that tell contents apart.
const SHORT_HASH: usize = 12;
/// Texts that are hard to compare are shown with more lines than would be needed.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is printed of two images.
pub(super) struct Report<W> {
    out: W,
    format: Format,
    /// How many were added, removed and changed.
    counts: [u64; 3],
}

impl<W: Write> Report<W> {
    pub(super) fn begin(mut out: W, format: Format, images: [&Path; 2]) -> io::Result<Self> {
        if format == Format::Json {
            let [a, b] = images.map(|image| json!(image.to_string_lossy()));
            write!(out, "{{\"a\": {a}, \"b\": {b}, \"differences\": [")?;
        }
        Ok(Self {
            out,
            format,
            counts: [0; 3],
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts == [0; 3]
    }

    pub(super) fn add(&mut self, difference: &Difference) -> io::Result<()> {
        match self.format {
            Format::Human => self.out.write_all(lines(difference).as_bytes())?,
            Format::Json => {
                let comma = if self.is_empty() { "" } else { "," };
                write!(self.out, "{comma}\n  {}", json!(difference))?;
            }
        }
        self.counts[match difference.change {
            Change::Added => 0,
            Change::Removed => 1,
            Change::Changed => 2,
        }] += 1;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        let [added, removed, changed] = self.counts;
        let same = self.is_empty();
        match self.format {
            Format::Human if same => writeln!(self.out, "the images are the same")?,
            Format::Human => {
                writeln!(
                    self.out,
                    "\n{added} added, {removed} removed, {changed} changed"
                )?;
            }
            Format::Json => {
                let end = if same { "" } else { "\n" };
                writeln!(self.out, "{end}], \"same\": {same}}}")?;
            }
        }
        self.out.flush()
    }
}

/// The line of a difference, and below it those of a text.
fn lines(difference: &Difference) -> String {
    let mark = match difference.change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    };
    let name = match difference.of {
        Subject::File => difference.name.clone(),
        of => format!("{} {}", of.as_str(), difference.name),
    };
    let (texts, facts): (Vec<_>, Vec<_>) = difference
        .facts
        .iter()
        .partition(|fact| fact.name == "text");
    let facts: Vec<_> = match difference.change {
        Change::Changed => facts.into_iter().map(changed).collect(),
        Change::Added | Change::Removed => facts.into_iter().filter_map(only).collect(),
    };
    let gap = if facts.is_empty() { "" } else { "  " };
    let texts: String = texts.into_iter().map(text).collect();
    format!("{mark} {name}{gap}{}\n{texts}", facts.join(", "))
}

/// A value that both have, or that one of them lacks.
fn changed(fact: &Fact) -> String {
    let [a, b] = [&fact.a, &fact.b].map(|value| match value {
        Some(value) => shown(&fact.name, value),
        None => "none".to_owned(),
    });
    match fact.name.as_ref() {
        "value" => format!("{a} → {b}"),
        "first difference" => format!("differ from {a} on, though all they say is the same"),
        name => format!("{name} {a} → {b}"),
    }
}

/// A value of what only one image has, as far as it says something by itself.
fn only(fact: &Fact) -> Option<String> {
    let value = fact.a.as_ref().or(fact.b.as_ref())?;
    let value = shown(&fact.name, value);
    match fact.name.as_ref() {
        "contents" | "time" => None,
        "kind" | "size" | "value" => Some(value),
        name => Some(format!("{name} {value}")),
    }
}

fn shown(name: &str, value: &Value) -> String {
    match (name, value) {
        ("size" | "block size", Value::Number(bytes)) => output::size(bytes.unsigned_abs()),
        ("time" | "created", Value::Number(seconds)) => match DateTime::from_timestamp(*seconds, 0)
        {
            Some(time) => output::time(Some(time)),
            None => seconds.to_string(),
        },
        (_, Value::Number(number)) => number.to_string(),
        ("contents", Value::Text(hash)) => hash.chars().take(SHORT_HASH).collect(),
        (_, Value::Text(text)) => harmless(text),
    }
}

/// The lines of a text that are not in both.
fn text(fact: &Fact) -> String {
    let [a, b] = [&fact.a, &fact.b].map(|value| match value {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    });
    let compared = TextDiff::configure().timeout(PATIENCE).diff_lines(a, b);
    let lines = compared.iter_all_changes().filter_map(|change| {
        let mark = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => return None,
        };
        let line = change.value();
        let end = if line.ends_with('\n') {
            ""
        } else {
            " (without an end of the line)"
        };
        Some(format!(
            "    {mark} {}{end}\n",
            harmless(line.trim_end_matches('\n'))
        ))
    });
    lines.collect()
}

/// A text that does nothing to a terminal.
fn harmless(text: &str) -> String {
    let escape = |character: char| match character {
        '\t' => "\t".to_owned(),
        control if control.is_control() => control.escape_default().to_string(),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(
        of: Subject,
        change: Change,
        facts: &[(&'static str, Value, Value)],
    ) -> Difference {
        let facts = facts.iter().map(|(name, a, b)| Fact {
            name: (*name).into(),
            a: (change != Change::Added).then(|| a.clone()),
            b: (change != Change::Removed).then(|| b.clone()),
        });
        Difference {
            of,
            name: "/a".to_owned(),
            change,
            facts: facts.collect(),
        }
    }

    #[test]
    fn a_file_has_one_line_that_says_what_differs() {
        let facts = [
            (
                "kind",
                Value::Text("file".into()),
                Value::Text("file".into()),
            ),
            (
                "mode",
                Value::Text("0644".into()),
                Value::Text("0755".into()),
            ),
            ("time", Value::Number(0), Value::Number(1_700_000_000)),
            ("size", Value::Number(3), Value::Number(2048)),
        ];

        assert_eq!(
            lines(&difference(Subject::File, Change::Changed, &facts[1..])),
            "~ /a  mode 0644 → 0755, time 1970-01-01 00:00:00 → 2023-11-14 22:13:20, size 3 B → 2.00 KiB\n"
        );
        assert_eq!(
            lines(&difference(Subject::File, Change::Added, &facts)),
            "+ /a  file, mode 0755, 2.00 KiB\n"
        );
    }

    #[test]
    fn of_texts_the_lines_are_shown_that_are_not_in_both() {
        let text = |text: &str| Value::Text(text.into());
        let facts = [("text", text("a\nb\x1b\nc"), text("a\nd\nc"))];

        assert_eq!(
            lines(&difference(Subject::Definition, Change::Changed, &facts)),
            "~ definition /a\n    - b\\u{1b}\n    + d\n"
        );
    }

    #[test]
    fn json_is_one_document_whether_there_are_differences_or_not() {
        for count in 0..3 {
            let mut bytes = Vec::new();
            let images = [Path::new("a"), Path::new("b\"")];
            let mut report = Report::begin(&mut bytes, Format::Json, images).unwrap();
            for _ in 0..count {
                let added = difference(Subject::File, Change::Added, &[]);
                report.add(&added).unwrap();
            }
            report.finish().unwrap();

            let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(json["differences"].as_array().unwrap().len(), count);
            assert_eq!(json["same"], count == 0);
            assert_eq!(json["b"], "b\"");
        }
    }
}
