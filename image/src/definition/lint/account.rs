//! Passwords and tokens in a header.

use super::super::diagnostic::{Report, Text};
use super::Linted;

/// The keys whose values nobody else should know.
const KEYS: &[&str] = &["password", "token", "regcode"];

/// Shorter values (`no`, for instance) are no secrets.
const SHORTEST: usize = 4;

/// A password in a header can be read by everybody who reads the file.
pub(super) fn lint(stage: &Linted<'_, '_>, report: &mut Report<'_>) {
    for key in KEYS {
        let Some(line) = stage.header_line(key) else {
            continue;
        };
        let (name, value) = line.text.split_once(':').unwrap_or((line.text, ""));
        if value.trim().len() < SHORTEST || report.places().is_filled_in(&line.range()) {
            continue;
        }
        let text = Text::new(format!("everybody who reads this file knows the {key}"))
            .help("write `{{ NAME }}` and give the value as a build argument when building");
        report.advice("secret-in-header", &line.range_of(name.trim()), text);
    }
}
