//! What `%files` copies.

use super::diagnostic::{Report, Text, quoted};
use super::names::Section;
use super::options::Mode;
use super::script;
use super::source::Line;

/// A `%files` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Whose files they are.
    pub from: FilesFrom,
    /// What is copied, in this order.
    pub copies: Vec<FileCopy>,
}

/// Whose files a `%files` section copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilesFrom {
    /// Those of the context: the folder of the definition.
    Context,
    /// Those of an earlier stage: its place among the stages, from 0.
    Stage(usize),
}

/// One line of `%files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCopy {
    /// The source; it may have wildcards.
    pub source: String,
    /// The destination; without one it is the source's path.
    pub destination: Option<String>,
    /// The line in the definition, from 1.
    pub line: u32,
}

/// The files of a section; nothing if its arguments have no meaning.
pub(super) fn parse(
    section: &Section<'_, '_>,
    earlier_stages: &[Option<String>],
    report: &mut Report<'_>,
) -> Option<Files> {
    let from = from(section, earlier_stages, report)?;
    Some(Files {
        from,
        copies: copies(section, report),
    })
}

/// The copies of a section's lines.
pub(super) fn copies(section: &Section<'_, '_>, report: &mut Report<'_>) -> Vec<FileCopy> {
    section
        .raw
        .body
        .iter()
        .filter_map(|line| copy(line, report))
        .collect()
}

fn from(
    section: &Section<'_, '_>,
    earlier_stages: &[Option<String>],
    report: &mut Report<'_>,
) -> Option<FilesFrom> {
    let range = section.raw.line.range_of(section.args.trim());
    match script::words(section.args)[..] {
        [] => Some(FilesFrom::Context),
        [from, name] if from.eq_ignore_ascii_case("from") => {
            let found = earlier_stages
                .iter()
                .position(|stage| stage.as_deref() == Some(name));
            if found.is_none() {
                let text = Text::new(format!("there is no earlier stage {}", quoted(name)));
                let help = "a stage has a name when its header has `Stage: name`";
                report.error("unknown-stage", &range, text.help(help));
            }
            found.map(FilesFrom::Stage)
        }
        _ => {
            let text = Text::new("this section is skipped: its arguments are not `from STAGE`")
                .help("write `%files`, or `%files from STAGE`");
            report.warning("files-arguments", &range, text);
            None
        }
    }
}

fn copy(line: &Line<'_>, report: &mut Report<'_>) -> Option<FileCopy> {
    let text = line.text.trim();
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let mut tokens = tokens(text);
    let source = tokens.next()?;
    let destination = tokens
        .next()
        .filter(|destination| !is_comment(destination, line, report));
    if source.is_empty() {
        let text = Text::new("this line is skipped: its source is empty");
        report.warning("empty-source", &line.range_of(text_of(line)), text);
        return None;
    }
    Some(FileCopy {
        source: source.to_owned(),
        destination: destination
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
        line: report.places().locate(&line.range()).line,
    })
}

/// Whether a destination is a comment, as it was to Singularity 2; to Apptainer it is a name.
fn is_comment(destination: &str, line: &Line<'_>, report: &mut Report<'_>) -> bool {
    if !destination.starts_with('#') {
        return false;
    }
    let is_comment = report.mode() == Mode::Lenient;
    let text = if is_comment {
        Text::new("the rest of this line is taken for a comment")
    } else {
        Text::new(format!("this file is copied to {}", quoted(destination)))
    };
    let text = text.help("only a line of its own can be a comment");
    report.warning("comment-in-files", &line.range_of(destination), text);
    is_comment
}

fn text_of<'a>(line: &Line<'a>) -> &'a str {
    line.text.trim()
}

/// Words, and words in double quotes; a quote ends the word before it.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return None;
            }
            if let Some(inside) = rest.strip_prefix('"') {
                if let Some((token, after)) = inside.split_once('"') {
                    rest = after;
                    return Some(token);
                }
                // A quote without its twin is not part of any word.
                rest = inside;
                continue;
            }
            let end = rest.find(|letter: char| letter == '"' || letter.is_whitespace());
            let (token, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after;
            return Some(token);
        }
    })
}
