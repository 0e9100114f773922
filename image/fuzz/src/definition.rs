//! Does the parser of definitions answer whatever it is given, soon, and without telling secrets?

#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use cooperage_image::definition::{HeaderNeed, Mode, Options, Parsed, Unused, parse, render};
use libfuzzer_sys::fuzz_target;

/// What is repeated becomes at least so long, and then eight times that.
const LONG: usize = 64 << 10;
const LONGER: usize = 8;
/// One of so many is repeated.
const REPEATED: usize = 2048;
/// So much may be chance.
const SHORT: Duration = Duration::from_millis(20);

fuzz_target!(|bytes: &[u8]| {
    let modern = answer(bytes, Mode::Modern, HeaderNeed::Required);
    let lenient = answer(bytes, Mode::Lenient, HeaderNeed::Required);
    answer(bytes, Mode::Modern, HeaderNeed::Optional);
    assert!(
        modern.definition.is_none() || lenient.definition.is_some(),
        "the lenient mode refuses what the modern one takes: {:?}",
        lenient.diagnostics
    );
    let sum: usize = bytes.iter().copied().map(usize::from).sum();
    if sum.is_multiple_of(REPEATED) && !bytes.is_empty() {
        check_growth(bytes, Mode::Modern);
        check_growth(bytes, Mode::Lenient);
    }
});

/// The time must not grow faster than the length.
fn check_growth(bytes: &[u8], mode: Mode) {
    let long = bytes.repeat(LONG.div_ceil(bytes.len()));
    let once = time_of(&long, mode);
    let longer = time_of(&long.repeat(LONGER), mode);
    let most = once * (3 * LONGER as u32) + SHORT;
    assert!(longer < most, "{once:?} became {longer:?}");
}

fn time_of(bytes: &[u8], mode: Mode) -> Duration {
    let options = options(mode, HeaderNeed::Required);
    let begin = spent();
    told(&parse(bytes, &options), bytes);
    spent() - begin
}

/// The processor's time of this thread, which is not that of whatever else a machine does.
fn spent() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts it");
    let nanoseconds = spent.split(' ').next().and_then(|it| it.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}

fn answer(bytes: &[u8], mode: Mode, header: HeaderNeed) -> Parsed {
    let parsed = parse(bytes, &options(mode, header));
    check_answer(&parsed);
    let told = told(&parsed, bytes);
    let text = String::from_utf8_lossy(bytes);
    if mode == Mode::Modern && !text.contains("{{") {
        check_secrets(&text, &told);
    }
    parsed
}

fn options(mode: Mode, header: HeaderNeed) -> Options {
    Options {
        build_args: BTreeMap::from([("A".to_owned(), "{{ B }}".to_owned())]),
        unused_build_args: Unused::Warned,
        mode,
        header,
    }
}

/// A definition, or an error; and all that is told has a place.
fn check_answer(parsed: &Parsed) {
    let has_error = parsed.diagnostics.iter().any(|it| it.is_error());
    assert_ne!(parsed.definition.is_some(), has_error);
    if let Some(definition) = &parsed.definition {
        assert!(!definition.stages.is_empty());
    }
    for found in &parsed.diagnostics {
        assert!(found.line >= 1 && found.column >= 1 && found.length >= 1);
        assert!(!found.message.is_empty() && !found.code.is_empty());
    }
}

/// Everything of a definition that people get to see.
fn told(parsed: &Parsed, bytes: &[u8]) -> Vec<String> {
    let shown = parsed.shown(bytes);
    let text = parsed.redact(&String::from_utf8_lossy(bytes));
    let mut told = Vec::new();
    for found in &parsed.diagnostics {
        let shown = render(found, "definition", &shown);
        let first = format!("{}[{}]: ", found.severity.as_str(), found.code);
        assert!(
            shown.starts_with(&first) && shown.ends_with('\n'),
            "{shown}"
        );
        told.push(shown);
    }
    told.extend(parsed.definition.iter().map(|it| it.redacted()));
    told.extend([text, shown.as_str().to_owned()]);
    told
}

/// No password that a header plainly has may be told.
fn check_secrets(text: &str, told: &[String]) {
    for secret in secrets(text) {
        for told in told {
            assert!(!told.contains(secret), "{secret:?} is told: {told}");
        }
    }
}

/// The values that are secrets by the simplest reading, so that both may not be wrong alike.
fn secrets(text: &str) -> Vec<&str> {
    let mut secrets = Vec::new();
    let (mut is_header, mut goes_on) = (true, false);
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_end_matches('\r');
        if begins_stage(line) {
            (is_header, goes_on) = (true, false);
        }
        is_header &= !line.trim_start().starts_with('%');
        if !is_header {
            continue;
        }
        let content = line.split('#').next().unwrap_or_default().trim();
        if !goes_on && !content.ends_with('\\') {
            secrets.extend(secret(content));
        }
        goes_on = content.ends_with('\\');
    }
    secrets
}

fn begins_stage(line: &str) -> bool {
    let start = line.as_bytes().get(.."bootstrap:".len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(b"bootstrap:"))
}

/// The secret of a header line. What is short is an ordinary word elsewhere, and what could be a
/// part of the word that stands for it cannot be told apart.
fn secret(content: &str) -> Option<&str> {
    let (key, value) = content.split_once(':')?;
    let value = value.trim();
    let is_secret = ["password", "token", "regcode"]
        .iter()
        .any(|secret| key.trim().eq_ignore_ascii_case(secret));
    let is_certain = value.chars().count() >= 4
        && !value.contains(['[', ']', '\u{fffd}'])
        && !"[redacted]".contains(value);
    (is_secret && is_certain).then_some(value)
}
