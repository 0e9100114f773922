//! The definition of a build, and the line of it that a failure is about.

use std::path::PathBuf;

use cooperage_protocol::Failure;

use super::redact;
use crate::db::views::BuildRow;
use crate::error::Error;
use crate::state::Hub;

const AROUND: usize = 2;
const LONGEST_SECTION: usize = 20;

/// A line of a definition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SourceLine {
    /// Counted from 1.
    pub(super) number: usize,
    /// Its text.
    pub(super) text: String,
    /// Whether the failure is about this line.
    pub(super) is_place: bool,
}

/// The lines of a build's definition, without the accounts in them; none when the repository is
/// not at hand any more.
pub(crate) async fn text(hub: &Hub, build: &BuildRow) -> Result<Vec<String>, Error> {
    let repository = repository(hub, build);
    let blob = build.recipe_blob.clone();
    let text = tokio::task::spawn_blocking(move || read_blob(&repository, &blob))
        .await
        .map_err(|error| Error::Internal(error.into()))?;
    Ok(redact::lines(&text.unwrap_or_default()))
}

/// The lines around the place of a failure; none when it has no place.
pub(super) fn around(lines: &[String], failure: &Failure) -> Vec<SourceLine> {
    match place(failure) {
        Some(Place::Line(line)) => cut(lines, line),
        Some(Place::Section(name)) => section(lines, &name),
        None => Vec::new(),
    }
}

enum Place {
    Line(usize),
    Section(String),
}

fn place(failure: &Failure) -> Option<Place> {
    if let Some(line) = failure.line {
        return Some(Place::Line(usize::try_from(line).unwrap_or(usize::MAX)));
    }
    failure.section.clone().map(Place::Section)
}

fn repository(hub: &Hub, build: &BuildRow) -> PathBuf {
    hub.config
        .repositories()
        .join(build.collection_id.to_string())
}

fn read_blob(repository: &PathBuf, blob: &str) -> Option<String> {
    let repository = git2::Repository::open_bare(repository).ok()?;
    let blob = repository.find_blob(git2::Oid::from_str(blob).ok()?).ok()?;
    Some(String::from_utf8_lossy(blob.content()).into_owned())
}

fn cut(lines: &[String], place: usize) -> Vec<SourceLine> {
    let from = place.saturating_sub(AROUND).max(1);
    lines
        .iter()
        .zip(1..)
        .skip(from - 1)
        .take_while(|(_, number)| *number <= place.saturating_add(AROUND))
        .map(|(text, number)| SourceLine {
            number,
            text: text.clone(),
            is_place: number == place,
        })
        .collect()
}

/// The beginning of a section; nothing when the recipe has several of that name, as nobody says
/// which of them is meant.
fn section(lines: &[String], name: &str) -> Vec<SourceLine> {
    let starts = |line: &str| line.split_whitespace().next() == Some(name);
    let mut places = lines.iter().zip(1..).filter(|(line, _)| starts(line));
    let (Some((_, first)), None) = (places.next(), places.next()) else {
        return Vec::new();
    };
    lines
        .iter()
        .zip(1..)
        .skip(first - 1)
        .take_while(|(line, number)| *number == first || !line.starts_with('%'))
        .take(LONGEST_SECTION)
        .map(|(text, number)| SourceLine {
            number,
            text: text.clone(),
            is_place: false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn two_lines_on_each_side_are_shown() {
        let text = lines("Bootstrap: docker\nFrom: x\n# c\n%pots\n    true\n    true\n    no\n");

        let lines = cut(&text, 4);

        let numbers: Vec<_> = lines.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6]);
        assert!(lines[2].is_place);
        assert_eq!(cut(&text, 100), []);
    }

    #[test]
    fn a_section_is_shown_up_to_the_next() {
        let text = lines("From: x\n%post -c sh\n    true\n%test\n    a\n%test\n    b\n");

        let shown = |name| -> Vec<usize> {
            let lines = section(&text, name).into_iter();
            lines.map(|line| line.number).collect()
        };
        assert_eq!(shown("%post"), [2, 3]);
        assert!(shown("%test").is_empty());
        assert!(shown("%setup").is_empty());
    }
}
