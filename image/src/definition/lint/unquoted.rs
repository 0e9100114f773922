//! Values that end earlier than they look.

use super::super::diagnostic::{Report, Text, quoted};
use super::super::source::Line;
use super::Linted;
use super::shell;

/// `export NAME=a b` exports `a`, and a variable called `b`.
pub(super) fn lint(stage: &Linted<'_, '_>, report: &mut Report<'_>) {
    for line in ["environment", "appenv"]
        .iter()
        .flat_map(|name| stage.lines(name))
    {
        lint_line(line, report);
    }
}

fn lint_line(line: &Line<'_>, report: &mut Report<'_>) {
    let Some(commands) = shell::commands(line.text) else {
        return;
    };
    for words in commands {
        let ["export", first, rest @ ..] = words.as_slice() else {
            continue;
        };
        let Some((name, value)) = first.split_once('=') else {
            continue;
        };
        let strange = rest
            .iter()
            .find(|word| !word.contains('=') && !word.contains(['<', '>']));
        let Some(word) = strange.filter(|_| !value.is_empty()) else {
            continue;
        };
        let text = Text::new(format!(
            "the value of {} ends before this word",
            quoted(name)
        ))
        .help(format!("write the value in quotes: `export {name}=\"…\"`"));
        report.advice("unquoted-value", &line.range_of(word), text);
    }
}
