//! A definition with what is told of it, each under its line.

use cooperage_protocol::{Diagnostic, Severity};

use super::highlight;

/// A definition as the page of a build shows it.
#[derive(Debug, Default)]
pub(super) struct Annotated {
    /// Its lines, in order; none when the repository is not at hand any more.
    pub(super) lines: Vec<Line>,
    /// What has no line here.
    pub(super) unplaced: Vec<Diagnostic>,
    /// Whether there are lines behind the last one.
    pub(super) is_cut: bool,
}

/// A line with what is told of it.
#[derive(Debug)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    /// The line in parts of different look.
    pub(super) parts: Vec<Part>,
    /// What is told of it.
    pub(super) notes: Vec<Diagnostic>,
}

/// A part of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// A class of the style sheet, or none.
    pub(super) class: &'static str,
    /// Its text.
    pub(super) text: String,
}

/// More than anybody reads on a page.
const MOST_LINES: usize = 2000;

impl Annotated {
    /// Puts diagnostics, which are in order, under their lines.
    pub(super) fn new(lines: &[String], diagnostics: Vec<Diagnostic>) -> Self {
        let text = lines.join("\n");
        let mut annotated: Vec<Line> = highlight::definition(&text)
            .into_iter()
            .zip(1..)
            .take(MOST_LINES)
            .map(|(line, number)| Line {
                number,
                parts: plain(&line),
                notes: Vec::new(),
            })
            .collect();
        let mut unplaced = Vec::new();
        for diagnostic in diagnostics {
            let index = usize::try_from(diagnostic.line).unwrap_or(usize::MAX);
            match annotated.get_mut(index.wrapping_sub(1)) {
                Some(line) => line.notes.push(diagnostic),
                None => unplaced.push(diagnostic),
            }
        }
        for line in &mut annotated {
            if !line.notes.is_empty() {
                line.parts = marked(&lines[line.number - 1], &line.notes);
            }
        }
        Self {
            is_cut: lines.len() > MOST_LINES,
            lines: annotated,
            unplaced,
        }
    }

    /// All that is told, in order.
    pub(super) fn notes(&self) -> impl Iterator<Item = &Diagnostic> {
        let placed = self.lines.iter().flat_map(|line| &line.notes);
        placed.chain(&self.unplaced)
    }

    /// How many there are of a severity, in words; nothing when there are none.
    pub(super) fn count(&self, severity: &str) -> Option<String> {
        let of_it = |note: &&Diagnostic| note.severity.as_str() == severity;
        match self.notes().filter(of_it).count() {
            0 => None,
            1 if severity == "advice" => Some("1 piece of advice".to_owned()),
            1 => Some(format!("1 {severity}")),
            count if severity == "advice" => Some(format!("{count} pieces of advice")),
            count => Some(format!("{count} {severity}s")),
        }
    }

    /// Whether an error is shown under its line.
    pub(super) fn shows_an_error(&self) -> bool {
        let notes = self.lines.iter().flat_map(|line| &line.notes);
        notes
            .into_iter()
            .any(|note| note.severity == Severity::Error)
    }
}

impl Line {
    /// The worst that is told of it.
    pub(super) fn class(&self) -> &'static str {
        let worst = self.notes.iter().map(|note| note.severity).min();
        worst.map_or("", Severity::as_str)
    }
}

fn plain(line: &highlight::Line<'_>) -> Vec<Part> {
    let class = match line.class {
        "section" => "hl-section",
        "key" => "hl-key",
        "comment" => "hl-comment",
        _ => "",
    };
    [part(class, line.marked), part("", line.rest)]
        .into_iter()
        .filter(|part| !part.text.is_empty())
        .collect()
}

fn part(class: &'static str, text: impl Into<String>) -> Part {
    Part {
        class,
        text: text.into(),
    }
}

/// A line with what is meant marked; of overlapping places the first is.
fn marked(line: &str, notes: &[Diagnostic]) -> Vec<Part> {
    let letters: Vec<char> = line.chars().collect();
    let mut parts = Vec::new();
    let mut shown = 0;
    for note in notes {
        let start = place(note.column).saturating_sub(1);
        let end = start.saturating_add(place(note.length)).min(letters.len());
        if start < shown || start >= end {
            continue;
        }
        parts.push(part("", letters[shown..start].iter().collect::<String>()));
        let class = match note.severity {
            Severity::Error => "mark-error",
            Severity::Warning => "mark-warning",
            Severity::Advice => "mark-advice",
        };
        parts.push(part(class, letters[start..end].iter().collect::<String>()));
        shown = end;
    }
    parts.push(part("", letters[shown..].iter().collect::<String>()));
    parts.retain(|part| !part.text.is_empty());
    parts
}

fn place(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(severity: Severity, line: u32, column: u32, length: u32) -> Diagnostic {
        Diagnostic {
            severity,
            code: "code".to_owned(),
            message: "message".to_owned(),
            help: None,
            line,
            column,
            length,
        }
    }

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn what_is_meant_is_marked_and_told_under_its_line() {
        let told = vec![
            diagnostic(Severity::Warning, 2, 3, 2),
            diagnostic(Severity::Error, 2, 6, 99),
            diagnostic(Severity::Error, 7, 1, 1),
            diagnostic(Severity::Advice, 3, 1, 5),
        ];

        let annotated = Annotated::new(&lines("From: x\naß🦀d e\n%post\n"), told);

        let shown: Vec<_> = annotated.lines[1]
            .parts
            .iter()
            .map(|part| (part.class, part.text.as_str()))
            .collect();
        let expected = [
            ("", "aß"),
            ("mark-warning", "🦀d"),
            ("", " "),
            ("mark-error", "e"),
        ];
        assert_eq!(shown, expected);
        assert_eq!(annotated.lines[1].class(), "error");
        assert_eq!(annotated.lines[0].parts[0], part("hl-key", "From:"));
        assert_eq!(annotated.unplaced.len(), 1);
        assert_eq!(annotated.count("error").as_deref(), Some("2 errors"));
        assert_eq!(annotated.count("warning").as_deref(), Some("1 warning"));
        assert_eq!(annotated.lines[2].parts[0], part("mark-advice", "%post"));
        assert_eq!(annotated.lines[2].class(), "advice");
        assert_eq!(
            annotated.count("advice").as_deref(),
            Some("1 piece of advice")
        );
    }

    #[test]
    fn places_that_are_not_in_the_line_or_overlap_harm_nothing() {
        let told = vec![
            diagnostic(Severity::Error, 1, 1, 3),
            diagnostic(Severity::Error, 1, 2, 3),
            diagnostic(Severity::Error, 1, u32::MAX, u32::MAX),
            diagnostic(Severity::Error, 0, 0, 0),
        ];

        let annotated = Annotated::new(&lines("abcdef"), told);

        assert_eq!(annotated.lines[0].notes.len(), 3);
        assert_eq!(annotated.lines[0].parts.len(), 2);
        assert_eq!(annotated.unplaced.len(), 1);
    }
}
