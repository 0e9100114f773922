//! The definition's text without its secrets.

use std::ops::Range;

use super::diagnostic::CUT;
use super::secrets::{REDACTED, Secrets};

/// Shorter values (`no`, for instance) are ordinary words elsewhere.
const SHORTEST: usize = 4;

/// More than the headers of all stages have use for; a bound keeps the work linear for hostile
/// input.
const MOST_VALUES: usize = 200;

/// Replaces what stands behind secret keys, and the same values wherever else they stand.
pub(super) fn redact(text: &str, secrets: &Secrets) -> String {
    let mut ranges = secrets.ranges.clone();
    ranges.extend(places_of_values(text, secrets));
    replace(text, ranges)
}

/// Replaces the values of secret keys in another text, such as one section.
pub(super) fn redact_values(text: &str, secrets: &Secrets) -> String {
    replace(text, places_of_values(text, secrets))
}

/// Replaces the values of secret keys in a message, which may quote no more than their beginning.
pub(super) fn redact_message(message: &str, secrets: &Secrets) -> String {
    let mut ranges = places_of_values(message, secrets);
    if secrets.values.len() <= MOST_VALUES {
        let cuts = message.match_indices(CUT).map(|(position, _)| position);
        ranges.extend(cuts.flat_map(|end| {
            let values = secrets.values.iter();
            values.filter_map(move |value| Some(beginning_before(end, message, value)?..end))
        }));
    }
    replace(message, ranges)
}

/// Where the beginning of a value starts that `text` has before `end`.
fn beginning_before(end: usize, text: &str, value: &str) -> Option<usize> {
    let lengths = value.char_indices().map(|(length, _)| length);
    let found = lengths
        .skip(SHORTEST)
        .filter(|&length| text[..end].ends_with(&value[..length]));
    found.max().map(|length| end - length)
}

/// Where the values stand; with too many of them to look for, that is everywhere.
fn places_of_values(text: &str, secrets: &Secrets) -> Vec<Range<usize>> {
    if secrets.values.len() > MOST_VALUES {
        return std::iter::once(0..text.len()).collect();
    }
    let values = secrets.values.iter();
    values
        .filter(|value| value.chars().count() >= SHORTEST)
        .flat_map(|value| {
            let found = text.match_indices(value.as_str());
            found.map(|(start, _)| start..start + value.len())
        })
        .collect()
}

fn replace(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    ranges.sort_by_key(|range| range.start);
    let mut redacted = String::with_capacity(text.len());
    let mut copied = 0;
    for range in ranges {
        if range.is_empty() || range.end <= copied {
            continue;
        }
        if range.start >= copied {
            redacted.push_str(&text[copied..range.start]);
            redacted.push_str(REDACTED);
            copied = range.start;
        }
        // What follows stays on its line.
        redacted.extend(text[copied..range.end].matches('\n'));
        copied = range.end;
    }
    redacted.push_str(&text[copied..]);
    redacted
}
