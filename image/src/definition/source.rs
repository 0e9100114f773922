//! From bytes to text, lines, and places in them.

use std::borrow::Cow;
use std::ops::Range;

use super::diagnostic::{Diagnostic, Severity};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// One line without its end, and where it starts in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) start: usize,
}

impl Line<'_> {
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// The range of `part`, which must be a slice of this line's text.
    pub(super) fn range_of(&self, part: &str) -> Range<usize> {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let start = self.start + offset.min(self.text.len());
        start..start + part.len()
    }
}

/// A definition as text, without a byte order mark.
pub(super) struct Decoded<'a> {
    pub(super) text: Cow<'a, str>,
    /// Where the first byte was that is not UTF-8.
    pub(super) latin_1: Option<usize>,
}

/// The definition as text; what of it is not UTF-8 is taken for Latin-1.
pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let bytes = bytes
        .strip_prefix(BYTE_ORDER_MARK.as_bytes())
        .unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Decoded {
            text: Cow::Borrowed(text),
            latin_1: None,
        },
        Err(error) => Decoded {
            text: Cow::Owned(from_latin_1(bytes)),
            latin_1: Some(error.valid_up_to()),
        },
    }
}

fn from_latin_1(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().copied().map(char::from));
    }
    text
}

/// What is wrong with bytes that are no text.
pub(super) fn binary(bytes: &[u8]) -> Option<Diagnostic> {
    let position = bytes.iter().position(|&byte| byte == 0)?;
    let before = decode(&bytes[..position]).text;
    let place = Places::new(&before).locate_original(&(before.len()..before.len()));
    Some(Diagnostic {
        severity: Severity::Error,
        code: "binary-file",
        message: "definition has a NUL byte".to_owned(),
        help: Some("a definition is a text file in UTF-8; is this an image?".to_owned()),
        line: place.line,
        column: place.column,
        length: 1,
    })
}

/// The lines of a range of `text`; `\r\n` ends a line like `\n`.
pub(super) fn lines(text: &str, range: Range<usize>) -> impl Iterator<Item = Line<'_>> {
    let mut start = range.start;
    text[range].split_inclusive('\n').map(move |whole| {
        let line = Line {
            text: without_end(whole),
            start,
        };
        start += whole.len();
        line
    })
}

fn without_end(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// Finds places of the original text, also from ranges of the text with its arguments filled in.
pub(super) struct Places<'a> {
    original: &'a str,
    line_starts: Vec<usize>,
    replacements: Vec<Replacement>,
}

/// A place in the original text, counted in characters from 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) length: u32,
}

/// A piece of the original text that became something else.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) original: Range<usize>,
    pub(super) expanded: Range<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn new(original: &'a str) -> Self {
        let starts = original
            .match_indices('\n')
            .map(|(position, _)| position + 1);
        let line_starts = std::iter::once(0).chain(starts).collect();
        Self {
            original,
            line_starts,
            replacements: Vec::new(),
        }
    }

    /// Adds a replacement; they must come in the order of the text.
    pub(super) fn replaced(&mut self, replacement: Replacement) {
        self.replacements.push(replacement);
    }

    /// The place of a range of the text with its arguments filled in.
    pub(super) fn locate(&self, range: &Range<usize>) -> Place {
        let start = self.original_position(range.start, |piece| piece.start);
        let end = self
            .original_position(range.end, |piece| piece.end)
            .max(start);
        self.locate_original(&(start..end))
    }

    /// The place of a range of the original text.
    pub(super) fn locate_original(&self, range: &Range<usize>) -> Place {
        let (start, end) = (range.start, range.end);
        let line = self
            .line_starts
            .partition_point(|&line| line <= start)
            .saturating_sub(1);
        let line_start = self.line_starts.get(line).copied().unwrap_or(0);
        let column = characters(self.original, line_start, start) + 1;
        let shown = self.original.get(start..end).unwrap_or_default();
        let length = shown
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            .max(1);
        Place {
            line: number(line + 1),
            column: number(column),
            length: number(length),
        }
    }

    /// Whether a build argument was filled in there.
    pub(super) fn is_filled_in(&self, range: &Range<usize>) -> bool {
        let after = self
            .replacements
            .partition_point(|piece| piece.expanded.end < range.start);
        let next = self.replacements.get(after);
        next.is_some_and(|piece| piece.expanded.start <= range.end)
    }

    fn original_position(&self, position: usize, edge: fn(&Range<usize>) -> usize) -> usize {
        let after = self
            .replacements
            .partition_point(|piece| piece.expanded.start < position);
        let Some(piece) = after
            .checked_sub(1)
            .and_then(|index| self.replacements.get(index))
        else {
            return position.min(self.original.len());
        };
        if position < piece.expanded.end {
            return edge(&piece.original);
        }
        let original = piece.original.end + (position - piece.expanded.end);
        original.min(self.original.len())
    }
}

fn characters(text: &str, from: usize, to: usize) -> usize {
    text.get(from..to).map_or(0, |part| part.chars().count())
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
