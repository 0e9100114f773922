//! The `%environment` of the earliest recipes: `NAME value`, without an equals sign.

use super::diagnostic::{Report, Text};
use super::scan::RawSection;

/// The section as shell, if all its lines are `NAME value`.
///
/// Such a section is no shell script: its names would be run as commands. Only upper-case names
/// count, so that commands are never taken for variables.
pub(super) fn assignments(section: &RawSection<'_>, report: &mut Report<'_>) -> Option<String> {
    let has_content = |text: &str| !text.is_empty() && !text.starts_with('#');
    let mut shell = String::new();
    let mut first = None;
    for line in &section.body {
        let text = line.text.trim();
        if has_content(text) {
            let (name, value) = assignment(text)?;
            shell.extend(["export ", name, "=", &quoted(value), "\n"]);
            first = first.or(Some(line.range_of(text)));
        } else {
            shell.push_str(line.text);
            shell.push('\n');
        }
    }
    let text = Text::new("`NAME value` is taken for an assignment")
        .help("write `export NAME=value`: the section is a shell script");
    report.warning("environment-without-equals", &first?, text);
    Some(shell)
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once([' ', '\t'])?;
    let starts_well = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_shell = line.contains(['=', ';', '|', '&', '<', '>']) || line.ends_with('\\');
    (starts_well && name.chars().all(is_name) && !is_shell).then(|| (name, value.trim()))
}

/// A value in double quotes; variables in it keep their meaning, commands do not.
fn quoted(value: &str) -> String {
    let inside = |quote: char| {
        let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains([quote, '\\', '`']) && !inner.contains("$(")).then_some(value)
    };
    if let Some(already) = inside('"').or_else(|| inside('\'')) {
        return already.to_owned();
    }
    let escaped = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('`', "\\`");
    format!("\"{}\"", escaped.replace("$(", "\\$("))
}
