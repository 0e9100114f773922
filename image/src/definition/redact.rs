//! The definition's text without its secrets.

use std::ops::Range;

use super::keys::{REDACTED, Secrets};

/// Shorter values (`no`, for instance) are ordinary words elsewhere.
const SHORTEST: usize = 4;

/// Replaces what stands behind secret keys, and the same values wherever else they stand.
pub(super) fn redact(text: &str, secrets: &Secrets) -> String {
    let mut ranges: Vec<Range<usize>> = secrets.ranges.clone();
    for value in secrets
        .values
        .iter()
        .filter(|value| value.chars().count() >= SHORTEST)
    {
        let found = text.match_indices(value.as_str());
        ranges.extend(found.map(|(start, _)| start..start + value.len()));
    }
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
        }
        copied = range.end;
    }
    redacted.push_str(&text[copied..]);
    redacted
}
