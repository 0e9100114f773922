//! The line of a definition that a failure is about, with the lines around it.

use std::path::PathBuf;

use cooperage_protocol::Failure;

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

/// The lines around the place of a build's failure; none when it has no place, or when the
/// repository is not at hand any more.
pub(super) async fn lines(hub: &Hub, build: &BuildRow) -> Result<Vec<SourceLine>, Error> {
    let Some(place) = build.failure.as_ref().and_then(|failure| place(failure)) else {
        return Ok(Vec::new());
    };
    let repository = repository(hub, build);
    let blob = build.recipe_blob.clone();
    let text = tokio::task::spawn_blocking(move || read_blob(&repository, &blob))
        .await
        .map_err(|error| Error::Internal(error.into()))?;
    let text = text.unwrap_or_default();
    Ok(match place {
        Place::Line(line) => cut(&text, line),
        Place::Section(name) => section(&text, &name),
    })
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

fn cut(text: &str, place: usize) -> Vec<SourceLine> {
    let from = place.saturating_sub(AROUND).max(1);
    text.lines()
        .zip(1..)
        .skip(from - 1)
        .take_while(|(_, number)| *number <= place.saturating_add(AROUND))
        .map(|(text, number)| SourceLine {
            number,
            text: redact(text),
            is_place: number == place,
        })
        .collect()
}

/// The beginning of a section; nothing when the recipe has several of that name, as nobody says
/// which of them is meant.
fn section(text: &str, name: &str) -> Vec<SourceLine> {
    let starts = |line: &str| line.split_whitespace().next() == Some(name);
    let mut places = text.lines().zip(1..).filter(|(line, _)| starts(line));
    let (Some((_, first)), None) = (places.next(), places.next()) else {
        return Vec::new();
    };
    text.lines()
        .zip(1..)
        .skip(first - 1)
        .take_while(|(line, number)| *number == first || !line.starts_with('%'))
        .take(LONGEST_SECTION)
        .map(|(text, number)| SourceLine {
            number,
            text: redact(text),
            is_place: false,
        })
        .collect()
}

/// The header may hold a registry's account, which is nobody else's business.
fn redact(line: &str) -> String {
    match line.split_once(':') {
        Some((key, _)) if is_secret(key) => format!("{key}: [redacted]"),
        _ => line.to_owned(),
    }
}

fn is_secret(key: &str) -> bool {
    matches!(
        key.trim().to_ascii_lowercase().as_str(),
        "username" | "password"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lines_on_each_side_are_shown_and_no_password() {
        let text =
            "Bootstrap: docker\nFrom: x\nPassword: hunter2\n%pots\n    true\n    true\n    no\n";

        let lines = cut(text, 4);

        let numbers: Vec<_> = lines.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6]);
        assert_eq!(lines[1].text, "Password: [redacted]");
        assert!(lines[2].is_place);
        assert_eq!(cut(text, 100), []);
    }

    #[test]
    fn a_section_is_shown_up_to_the_next() {
        let text = "From: x\n%post -c sh\n    true\n%test\n    a\n%test\n    b\n";

        let shown = |name| -> Vec<usize> {
            let lines = section(text, name).into_iter();
            lines.map(|line| line.number).collect()
        };
        assert_eq!(shown("%post"), [2, 3]);
        assert!(shown("%test").is_empty());
        assert!(shown("%setup").is_empty());
    }
}
