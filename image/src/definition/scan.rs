//! Where stages, headers and sections begin and end.

use std::ops::Range;

use super::names;
use super::options::Mode;
use super::source::{Line, lines};

/// A stage cut into lines, nothing of it judged yet.
#[derive(Debug)]
pub(super) struct RawStage<'a> {
    pub(super) range: Range<usize>,
    pub(super) header: Vec<Line<'a>>,
    pub(super) sections: Vec<RawSection<'a>>,
    /// Whether its header goes on in another stage, because `Bootstrap` stands in its middle.
    pub(super) cut: Cut,
}

impl RawStage<'_> {
    /// Whether its `Bootstrap` is where it belongs.
    pub(super) fn begins_with_bootstrap(&self, text: &str) -> bool {
        begins_stage(&text[self.range.clone()])
    }

    /// Whether there is nothing but blank lines and comments.
    pub(super) fn is_empty(&self) -> bool {
        self.sections.is_empty() && self.has_no_header()
    }

    /// Whether nothing but blank lines and comments stands above the first section.
    pub(super) fn has_no_header(&self) -> bool {
        let is_blank = |line: &Line<'_>| {
            let text = line.text.trim();
            text.is_empty() || text.starts_with('#')
        };
        self.header.iter().all(is_blank)
    }
}

/// Whether a `Bootstrap` in the middle of a header has cut it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// No.
    None,
    /// This is what stands above it.
    Above,
    /// This is what it begins.
    Below,
}

/// A section: its line with the percent sign, and the lines up to the next section.
#[derive(Debug)]
pub(super) struct RawSection<'a> {
    /// The line without its indentation.
    pub(super) line: Line<'a>,
    /// The line without its percent signs.
    pub(super) after_signs: &'a str,
    /// The name, up to the first space, as it was written.
    pub(super) name: &'a str,
    /// What follows the name and one space.
    pub(super) args: &'a str,
    pub(super) is_indented: bool,
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
/// In the lenient mode header lines above the first one belong to it: to Singularity 2 the order
/// of the header did not matter.
pub(super) fn stages(text: &str, mode: Mode) -> Vec<Range<usize>> {
    let mut cuts: Vec<usize> = Vec::new();
    let mut sections_seen = false;
    for line in lines(text, 0..text.len()) {
        sections_seen |= is_section(line.text, mode);
        if begins_stage(line.text) {
            let is_first = mode == Mode::Lenient && cuts.is_empty() && !sections_seen;
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

/// Whether a line begins a section: its first word does so with a percent sign.
///
/// To Singularity 2 an indented one was a line of the script, such as the format of a `printf`.
fn is_section(line: &str, mode: Mode) -> bool {
    line.starts_with('%')
        || line.trim_start().starts_with('%') && (mode == Mode::Modern || names::is_section(line))
}

/// Cuts a stage into its header and its sections.
pub(super) fn stage(text: &str, range: Range<usize>, mode: Mode) -> RawStage<'_> {
    let mut stage = RawStage {
        range: range.clone(),
        header: Vec::new(),
        sections: Vec::new(),
        cut: Cut::None,
    };
    for line in lines(text, range) {
        if is_section(line.text, mode) {
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
    let indentation = line.text.len() - text.len();
    let after_signs = text.trim_start_matches('%');
    let nothing = &text[text.len()..];
    let (name, args) = after_signs
        .split_once(' ')
        .unwrap_or((after_signs, nothing));
    RawSection {
        line: Line {
            text,
            start: line.start + indentation,
        },
        after_signs,
        name,
        args,
        is_indented: indentation > 0,
        body: Vec::new(),
    }
}
