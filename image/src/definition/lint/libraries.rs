//! Libraries that the loader does not know yet.

use super::super::diagnostic::{Report, Text};
use super::Linted;
use super::command;
use super::shell;

/// Folders that are searched only by way of the loader's cache; `/usr/lib` is always searched.
const FOLDERS: &[&str] = &["/usr/local/lib", "/usr/local/lib64"];

/// Links to libraries are found only after `ldconfig`.
///
/// Cooperage runs it at the end of every build; other builders, and steps later in the same
/// script, depend on the definition. Of `make install` nobody knows what it installs and where,
/// so only what names a library counts.
pub(super) fn lint(stage: &Linted<'_, '_>, report: &mut Report<'_>) {
    let mut found = None;
    for line in stage.lines("post") {
        if line.text.contains("ldconfig") || line.text.contains("LD_LIBRARY_PATH") {
            return;
        }
    }
    let body = stage.named("post").flat_map(|section| &section.raw.body);
    for command in command::all(body).flatten() {
        found = found.or_else(|| command.range_of(installed(&command.words)?));
    }
    let Some(range) = found else { return };
    let text = Text::new("the loader may not find this library before its cache is renewed")
        .help("run `ldconfig` at the end of `%post`; Cooperage does so, but other builders do not");
    report.advice("no-ldconfig", &range, text);
}

fn installed<'a>(words: &[&'a str]) -> Option<&'a str> {
    let (program, rest) = words.split_first()?;
    let last = *rest.last()?;
    let is_library = rest.iter().any(|word| is_library(shell::unquoted(word)));
    let is_searched = FOLDERS
        .iter()
        .any(|folder| shell::is_in(shell::unquoted(last), folder));
    (["ln", "cp", "mv", "install"].contains(program) && is_library && is_searched).then_some(last)
}

fn is_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut parts = name.split('.');
    name.starts_with("lib") && parts.any(|part| part == "so")
}
