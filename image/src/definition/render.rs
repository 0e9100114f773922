//! How a diagnostic looks in a terminal or a log.

use super::diagnostic::Diagnostic;
use super::secrets::without_secret;
use super::shown::ShownText;

/// How much of a long line is shown.
const WIDTH: usize = 120;

/// A diagnostic with its line of the definition, and a caret under what is meant.
///
/// # Security
/// Values of user names, passwords and tokens are left out.
pub fn render(diagnostic: &Diagnostic, name: &str, text: &ShownText) -> String {
    let Diagnostic {
        severity,
        code,
        message,
        help,
        line,
        column,
        ..
    } = diagnostic;
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let mut rendered = format!(
        "{}[{code}]: {message}\n{margin}--> {name}:{line}:{column}\n",
        severity.as_str()
    );
    if let Some((source, underline)) = excerpt(diagnostic, text.as_str()) {
        rendered.extend([
            format!("{margin} |\n"),
            format!("{number} | {source}\n"),
            format!("{margin} | {underline}\n"),
        ]);
    }
    if let Some(help) = help {
        rendered.extend([&margin, " = help: ", help, "\n"]);
    }
    rendered
}

/// The part of the line around the place, and the carets below it.
fn excerpt(diagnostic: &Diagnostic, text: &str) -> Option<(String, String)> {
    let line = text
        .lines()
        .nth(usize::try_from(diagnostic.line).ok()?.checked_sub(1)?)?;
    let column = usize::try_from(diagnostic.column).ok()?.checked_sub(1)?;
    let length = usize::try_from(diagnostic.length).ok()?.max(1);
    let skipped = if column + length.min(20) > WIDTH {
        column.saturating_sub(20)
    } else {
        0
    };
    let shown: String = without_secret(line)
        .chars()
        .skip(skipped)
        .take(WIDTH)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if shown.trim().is_empty() {
        return None;
    }
    let start = column - skipped;
    let room = shown.chars().count().saturating_sub(start).max(1);
    Some((
        shown,
        format!(
            "{}{}",
            " ".repeat(start.min(WIDTH)),
            "^".repeat(length.min(room))
        ),
    ))
}
