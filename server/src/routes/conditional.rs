//! Which bytes of a file a request gets: preconditions and ranges, RFC 9110 §13 and §14.

use std::time::SystemTime;

use axum::http::{HeaderMap, header};
use axum_extra::headers::{
    ETag, HeaderMapExt as _, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince,
    LastModified,
};

/// What a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All of it.
    Full,
    /// The bytes `start..end`.
    Part {
        /// The first byte.
        start: u64,
        /// The byte after the last.
        end: u64,
    },
    /// The client has it already.
    NotModified,
    /// The client wanted another one than this.
    PreconditionFailed,
    /// No byte that was asked for exists.
    Unsatisfiable,
}

/// What preconditions are compared with.
#[derive(Debug)]
pub(crate) struct Validators {
    /// The strong entity tag.
    pub(crate) etag: ETag,
    /// The time of the last change.
    pub(crate) modified: SystemTime,
}

/// Decides by the headers of a request, in the order of RFC 9110 §13.2.2.
pub(crate) fn decide(headers: &HeaderMap, validators: &Validators, size: u64) -> Answer {
    if !preconditions_pass(headers, validators) {
        return Answer::PreconditionFailed;
    }
    if is_not_modified(headers, validators) {
        return Answer::NotModified;
    }
    if is_range_outdated(headers, validators) {
        return Answer::Full;
    }
    match headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok())
    {
        Some(range) => parse_range(range, size),
        None => Answer::Full,
    }
}

fn preconditions_pass(headers: &HeaderMap, validators: &Validators) -> bool {
    match (
        headers.typed_get::<IfMatch>(),
        headers.typed_get::<IfUnmodifiedSince>(),
    ) {
        (Some(wanted), _) => wanted.precondition_passes(&validators.etag),
        (None, Some(since)) => since.precondition_passes(validators.modified),
        (None, None) => true,
    }
}

fn is_not_modified(headers: &HeaderMap, validators: &Validators) -> bool {
    match (
        headers.typed_get::<IfNoneMatch>(),
        headers.typed_get::<IfModifiedSince>(),
    ) {
        (Some(known), _) => !known.precondition_passes(&validators.etag),
        (None, Some(since)) => !since.is_modified(validators.modified),
        (None, None) => false,
    }
}

/// A malformed `If-Range` counts as outdated: all of the file is never wrong, a mixture is.
fn is_range_outdated(headers: &HeaderMap, validators: &Validators) -> bool {
    if !headers.contains_key(header::IF_RANGE) {
        return false;
    }
    let modified = LastModified::from(validators.modified);
    headers
        .typed_get::<IfRange>()
        .is_none_or(|known| known.is_modified(Some(&validators.etag), Some(&modified)))
}

/// One range of bytes. Several ranges, other units and what makes no sense give all of the file,
/// as RFC 9110 §14.2 allows.
fn parse_range(text: &str, size: u64) -> Answer {
    let Some((unit, range)) = text.split_once('=') else {
        return Answer::Full;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Answer::Full;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Answer::Full;
    }
    match (first.trim(), last.trim()) {
        ("", suffix) => parse_digits(suffix).map_or(Answer::Full, |length| {
            bytes(size.saturating_sub(length), size, size)
        }),
        (first, "") => parse_digits(first).map_or(Answer::Full, |start| bytes(start, size, size)),
        (first, last) => match (parse_digits(first), parse_digits(last)) {
            (Some(start), Some(last)) if start <= last => {
                bytes(start, last.saturating_add(1).min(size), size)
            }
            _ => Answer::Full,
        },
    }
}

/// Only digits: `u64::from_str` would take a plus sign too. What overflows is past every end.
fn parse_digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

fn bytes(start: u64, end: u64, size: u64) -> Answer {
    if start >= size {
        Answer::Unsatisfiable
    } else {
        Answer::Part { start, end }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const MONDAY: &str = "Mon, 06 Jan 2025 10:00:00 GMT";
    const SUNDAY: &str = "Sun, 05 Jan 2025 10:00:00 GMT";

    fn answer(headers: &[(HeaderName, &str)]) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect();
        let validators = Validators {
            etag: "\"here\"".parse().unwrap(),
            modified: SystemTime::UNIX_EPOCH + Duration::from_hours(482_266),
        };
        decide(&headers, &validators, 100)
    }

    #[test]
    fn a_range_gives_the_bytes_that_exist() {
        let table = [
            ("bytes=0-0", Answer::Part { start: 0, end: 1 }),
            ("bytes=10-19", Answer::Part { start: 10, end: 20 }),
            (
                "bytes=90-",
                Answer::Part {
                    start: 90,
                    end: 100,
                },
            ),
            (
                "bytes=90-1000",
                Answer::Part {
                    start: 90,
                    end: 100,
                },
            ),
            (
                "bytes=0-18446744073709551615",
                Answer::Part { start: 0, end: 100 },
            ),
            (
                "bytes=-5",
                Answer::Part {
                    start: 95,
                    end: 100,
                },
            ),
            ("bytes=-500", Answer::Part { start: 0, end: 100 }),
            ("Bytes = 1-2", Answer::Part { start: 1, end: 3 }),
            ("bytes=100-", Answer::Unsatisfiable),
            ("bytes=99999999999999999999-", Answer::Unsatisfiable),
            ("bytes=-0", Answer::Unsatisfiable),
            ("bytes=5-4", Answer::Full),
            ("bytes=0-1,3-4", Answer::Full),
            ("bytes=+1-2", Answer::Full),
            ("bytes=-", Answer::Full),
            ("lines=0-1", Answer::Full),
            ("nonsense", Answer::Full),
        ];
        for (range, expected) in table {
            assert_eq!(answer(&[(header::RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_file_gives_all_of_this_one() {
        let part = Answer::Part { start: 1, end: 3 };
        let table = [
            ("\"here\"", part),
            ("\"other\"", Answer::Full),
            ("W/\"here\"", Answer::Full),
            (MONDAY, part),
            (SUNDAY, Answer::Full),
            ("nonsense", Answer::Full),
        ];
        for (known, expected) in table {
            let headers = [(header::RANGE, "bytes=1-2"), (header::IF_RANGE, known)];
            assert_eq!(answer(&headers), expected, "{known}");
        }
    }

    #[test]
    fn preconditions_come_before_ranges_and_tags_before_times() {
        let table: [(&[(HeaderName, &str)], Answer); 9] = [
            (&[(header::IF_NONE_MATCH, "\"here\"")], Answer::NotModified),
            (
                &[(header::IF_NONE_MATCH, "W/\"here\"")],
                Answer::NotModified,
            ),
            (&[(header::IF_NONE_MATCH, "*")], Answer::NotModified),
            (&[(header::IF_NONE_MATCH, "\"a\", \"b\"")], Answer::Full),
            (&[(header::IF_MODIFIED_SINCE, MONDAY)], Answer::NotModified),
            (&[(header::IF_MODIFIED_SINCE, SUNDAY)], Answer::Full),
            (
                &[
                    (header::IF_NONE_MATCH, "\"a\""),
                    (header::IF_MODIFIED_SINCE, MONDAY),
                ],
                Answer::Full,
            ),
            (
                &[(header::IF_MATCH, "\"a\""), (header::RANGE, "bytes=0-")],
                Answer::PreconditionFailed,
            ),
            (
                &[(header::IF_UNMODIFIED_SINCE, SUNDAY)],
                Answer::PreconditionFailed,
            ),
        ];
        for (headers, expected) in table {
            assert_eq!(answer(headers), expected, "{headers:?}");
        }
    }
}
