//! Where stages, headers and sections begin and end.

use std::ops::Range;

use super::source::{Line, lines};

/// A stage cut into lines, nothing of it judged yet.
#[derive(Debug)]
pub(super) struct RawStage<'a> {
    pub(super) range: Range<usize>,
    pub(super) header: Vec<Line<'a>>,
    pub(super) sections: Vec<RawSection<'a>>,
}

impl RawStage<'_> {
    /// Whether there is nothing but blank lines and comments.
    pub(super) fn is_empty(&self) -> bool {
        let is_blank = |line: &Line<'_>| {
            let text = line.text.trim();
            text.is_empty() || text.starts_with('#')
        };
        self.sections.is_empty() && self.header.iter().all(is_blank)
    }
}

/// A section: its line with the percent sign, and the lines up to the next section.
#[derive(Debug)]
pub(super) struct RawSection<'a> {
    /// The line without its indentation.
    pub(super) line: Line<'a>,
    /// The name without percent signs, as it was written.
    pub(super) name: &'a str,
    /// What follows the name and one space.
    pub(super) args: &'a str,
    pub(super) body: Vec<Line<'a>>,
}

impl RawSection<'_> {
    /// The name with its percent sign, for messages.
    pub(super) fn name_range(&self) -> Range<usize> {
        let end = self.line.range_of(self.name).end;
        self.line.start..end.max(self.line.start + 1)
    }

    /// The lines of the body, each with a newline.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.body.iter().map(|l| l.text.len() + 1).sum());
        for line in &self.body {
            text.push_str(line.text);
            text.push('\n');
        }
        text
    }
}

/// Cuts a definition before each line that begins with `Bootstrap:`.
///
/// Header lines above the first one belong to it: in the time of Singularity 2 the order of the
/// header did not matter.
pub(super) fn stages(text: &str) -> Vec<Range<usize>> {
    let mut cuts: Vec<usize> = Vec::new();
    let mut sections_seen = false;
    for line in lines(text, 0..text.len()) {
        sections_seen |= is_section(line.text);
        if begins_stage(line.text) {
            let is_first = cuts.is_empty() && !sections_seen;
            cuts.push(if is_first { 0 } else { line.start });
        }
    }
    if cuts.first() != Some(&0) {
        cuts.insert(0, 0);
    }
    let ends = cuts.iter().skip(1).copied().chain([text.len()]);
    cuts.iter()
        .zip(ends)
        .map(|(&start, end)| start..end)
        .collect()
}

fn begins_stage(line: &str) -> bool {
    const START: &[u8] = b"bootstrap:";
    line.as_bytes()
        .get(..START.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(START))
}

fn is_section(line: &str) -> bool {
    line.trim_start().starts_with('%')
}

/// Cuts a stage into its header and its sections.
pub(super) fn stage(text: &str, range: Range<usize>) -> RawStage<'_> {
    let mut stage = RawStage {
        range: range.clone(),
        header: Vec::new(),
        sections: Vec::new(),
    };
    for line in lines(text, range) {
        if is_section(line.text) {
            stage.sections.push(section(line));
        } else if let Some(section) = stage.sections.last_mut() {
            section.body.push(line);
        } else {
            stage.header.push(line);
        }
    }
    stage
}

fn section(line: Line<'_>) -> RawSection<'_> {
    let text = line.text.trim_start();
    let line = Line {
        text,
        start: line.start + (line.text.len() - text.len()),
    };
    let (name, args) = text.split_once(' ').unwrap_or((text, &text[text.len()..]));
    RawSection {
        line,
        name: name.trim_start_matches('%'),
        args,
        body: Vec::new(),
    }
}
