//! The commands of a script, as far as they can be told line by line.

use std::ops::Range;
use std::rc::Rc;

use super::super::source::Line;
use super::shell;

/// A simple command, and the line or lines it stands in.
pub(super) struct Command<'a> {
    pub(super) words: Vec<&'a str>,
    lines: Rc<[Line<'a>]>,
}

impl Command<'_> {
    /// Where one of its words stands.
    pub(super) fn range_of(&self, word: &str) -> Option<Range<usize>> {
        let start = word.as_ptr() as usize;
        let mut lines = self.lines.iter();
        let line = lines.find(|line| {
            let first = line.text.as_ptr() as usize;
            (first..first + line.text.len()).contains(&start)
        })?;
        Some(line.range_of(word))
    }
}

/// The commands of these lines, in their order; nothing stands for a line with another structure.
pub(super) fn all<'s, 'a: 's>(
    lines: impl IntoIterator<Item = &'s Line<'a>>,
) -> impl Iterator<Item = Option<Command<'a>>> {
    let mut lines = lines.into_iter();
    std::iter::from_fn(move || {
        let mut joined = vec![*lines.next()?];
        while joined.last().is_some_and(|line| line.text.ends_with('\\')) {
            let Some(next) = lines.next() else { break };
            joined.push(*next);
        }
        Some(of_lines(&joined))
    })
    .flatten()
}

fn of_lines<'a>(lines: &[Line<'a>]) -> Vec<Option<Command<'a>>> {
    let mut commands: Vec<Vec<&'a str>> = vec![Vec::new()];
    for line in lines {
        let text = line.text.strip_suffix('\\').unwrap_or(line.text);
        let Some(parts) = shell::commands(text) else {
            return vec![None];
        };
        let mut parts = parts.into_iter();
        if let (Some(first), Some(open)) = (parts.next(), commands.last_mut()) {
            open.extend(first);
        }
        commands.extend(parts);
    }
    let commands = commands.into_iter().filter(|words| !words.is_empty());
    // Shared: thousands of commands may stand in as many lines.
    let lines: Rc<[Line<'a>]> = lines.into();
    let command = |words| {
        Some(Command {
            words,
            lines: Rc::clone(&lines),
        })
    };
    commands.map(command).collect()
}
