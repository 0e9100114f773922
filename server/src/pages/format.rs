//! Numbers and times as people read them.

use std::borrow::Borrow;

use chrono::{DateTime, TimeDelta, Utc};

/// A size with three digits at most: `748 MiB`, `3.3 GiB`.
pub(super) fn bytes(size: impl Borrow<u64>) -> String {
    let mut scaled = *size.borrow();
    let mut rest = 0;
    let mut units = ["B", "KiB", "MiB", "GiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while scaled >= 1024
        && let Some(larger) = units.next()
    {
        (scaled, rest, unit) = (scaled / 1024, scaled % 1024, larger);
    }
    if unit == "B" || scaled >= 10 {
        format!("{scaled} {unit}")
    } else {
        format!("{scaled}.{} {unit}", rest * 10 / 1024)
    }
}

/// How often something was pulled.
pub(super) fn pulls(count: impl Borrow<i64>) -> String {
    match *count.borrow() {
        1 => "1 pull".to_owned(),
        count => format!("{count} pulls"),
    }
}

/// How long ago something was, in the largest unit that fits.
pub(super) fn ago(at: &DateTime<Utc>) -> String {
    let seconds = (Utc::now() - at).num_seconds();
    let (count, unit) = match seconds {
        ..10 => return "just now".to_owned(),
        10..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        86_400..2_592_000 => (seconds / 86_400, "day"),
        2_592_000..31_536_000 => (seconds / 2_592_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// A time for programs.
pub(super) fn iso(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// A time for people, in full.
pub(super) fn utc(at: &DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// An error message as a sentence on a page: its first word gets a capital, unless it is a name.
pub(super) fn sentence(message: &str) -> String {
    let end = message.find([' ', ',', ';']).unwrap_or(message.len());
    let (first, rest) = message.split_at(end);
    if first.is_empty() || !first.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return message.to_owned();
    }
    format!("{}{}{rest}", first[..1].to_ascii_uppercase(), &first[1..])
}

/// A text without the indentation that all of its lines share.
pub(super) fn dedent(text: &str) -> String {
    let lines = || text.trim_end().lines();
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let shared = lines()
        .filter(|line| !line.trim().is_empty())
        .map(indent)
        .min()
        .unwrap_or_default();
    let dedented: Vec<_> = lines()
        .map(|line| line.get(shared..).unwrap_or_default())
        .collect();
    dedented.join("\n")
}

/// How long something took, or has taken so far.
pub(super) fn duration(start: &DateTime<Utc>, end: Option<&DateTime<Utc>>) -> String {
    let taken = end.copied().unwrap_or_else(Utc::now) - start;
    let taken = taken.max(TimeDelta::zero());
    let seconds = taken.num_seconds();
    match seconds {
        0 if end.is_some() && taken.subsec_millis() < 100 => "under 0.1 s".to_owned(),
        ..10 if end.is_some() => format!("{seconds}.{} s", taken.subsec_millis() / 100),
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How many seconds ago something began; the script counts on from there.
pub(super) fn seconds(start: &DateTime<Utc>) -> i64 {
    (Utc::now() - start).num_seconds().max(0)
}

/// The first digits of a commit.
pub(super) fn commit(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// The first digits of a digest, without its algorithm.
pub(super) fn digest(digest: &str) -> &str {
    let hex = digest.trim_start_matches("sha256:");
    hex.get(..12).unwrap_or(hex)
}

/// The branch or tag without git's folders.
pub(super) fn git_ref(name: &str) -> &str {
    name.trim_start_matches("refs/heads/")
        .trim_start_matches("refs/tags/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_that_fits() {
        for (size, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (10_240, "10 KiB"),
            (3_600_000_000, "3.3 GiB"),
            (u64::from(u32::MAX) * 1024, "4095 GiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn a_sentence_begins_with_a_capital_unless_it_begins_with_a_name() {
        for (message, shown) in [
            ("there is no build", "There is no build"),
            ("%post ended", "%post ended"),
            ("lab/tool has no such image", "lab/tool has no such image"),
            ("", ""),
        ] {
            assert_eq!(sentence(message), shown);
        }
    }

    #[test]
    fn only_shared_indentation_is_taken_away() {
        assert_eq!(dedent("    a\n\n      b\n"), "a\n\n  b");
        assert_eq!(dedent("a\n    b"), "a\n    b");
    }

    #[test]
    fn durations_are_told_in_two_units_at_most() {
        let start = DateTime::UNIX_EPOCH;
        for (seconds, text) in [
            (0, "under 0.1 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (7260, "2 h 1 min"),
        ] {
            assert_eq!(
                duration(&start, Some(&(start + TimeDelta::seconds(seconds)))),
                text
            );
        }
    }
}
