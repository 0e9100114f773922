//! The text of a log as a page can show it: what a terminal would do with it is done.

use std::str::Chars;

/// A piece of a log that looks the same from end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Classes of the style sheet; empty for plain text.
    pub(super) class: String,
    /// Its text, which the page still has to escape.
    pub(super) text: String,
}

/// Keeps the colours of a log and takes out every other control, and of a line that was written
/// over by carriage returns (as progress bars do) all but the last writing.
pub(super) fn render(log: &str) -> Vec<Piece> {
    let mut screen = Screen::default();
    let mut chars = log.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => screen.obey(&mut chars),
            '\n' => screen.end_line(),
            '\r' => screen.is_returned = true,
            c if c == '\t' || !c.is_control() => screen.write(c),
            _ => {}
        }
    }
    screen.end()
}

#[derive(Default)]
struct Screen {
    done: Vec<Piece>,
    line: Vec<Piece>,
    look: Look,
    is_returned: bool,
}

impl Screen {
    fn write(&mut self, c: char) {
        if std::mem::take(&mut self.is_returned) {
            self.line.clear();
        }
        let class = self.look.class();
        push(&mut self.line, &class, c);
    }

    fn end_line(&mut self) {
        self.is_returned = false;
        for piece in self.line.drain(..) {
            match self.done.last_mut() {
                Some(last) if last.class == piece.class => last.text.push_str(&piece.text),
                _ => self.done.push(piece),
            }
        }
        push(&mut self.done, "", '\n');
    }

    fn end(mut self) -> Vec<Piece> {
        self.done.append(&mut self.line);
        self.done
    }

    /// ECMA-48: `ESC [ … letter`, `ESC ] … BEL`, and two-character sequences. Only `ESC [ … m`,
    /// Select Graphic Rendition, changes anything.
    fn obey(&mut self, chars: &mut Chars<'_>) {
        match chars.next() {
            Some('[') => {
                let mut parameters = String::new();
                let end = chars.find(|c| {
                    let is_end = ('@'..='~').contains(c);
                    if !is_end {
                        parameters.push(*c);
                    }
                    is_end
                });
                if end == Some('m') {
                    self.look.select(&parameters);
                }
            }
            Some(']') => {
                let mut before = ' ';
                chars.find(|c| {
                    let is_end = *c == '\u{7}' || *c == '\n' || (before == '\u{1b}' && *c == '\\');
                    before = *c;
                    is_end
                });
            }
            _ => {}
        }
    }
}

fn push(pieces: &mut Vec<Piece>, class: &str, c: char) {
    match pieces.last_mut() {
        Some(last) if last.class == class => last.text.push(c),
        _ => pieces.push(Piece {
            class: class.to_owned(),
            text: c.to_string(),
        }),
    }
}

/// How a terminal writes now.
#[derive(Default)]
struct Look {
    is_bold: bool,
    colour: Option<u8>,
}

impl Look {
    fn class(&self) -> String {
        let bold = self.is_bold.then(|| "bold".to_owned());
        let colour = self.colour.map(|colour| format!("ansi-{colour}"));
        bold.into_iter().chain(colour).collect::<Vec<_>>().join(" ")
    }

    /// The eight colours, bright or not, and bold; the rest is not worth a look of its own.
    fn select(&mut self, parameters: &str) {
        let mut codes = parameters
            .split(';')
            .map(|code| code.parse().unwrap_or(0u8));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.is_bold = true,
                22 => self.is_bold = false,
                30..=37 => self.colour = Some(code - 30),
                90..=97 => self.colour = Some(code - 90),
                39 => self.colour = None,
                // A colour of 256 or of 16 million: its own parameters are no codes.
                38 | 48 => match codes.next() {
                    Some(5) => drop(codes.next()),
                    Some(2) => drop(codes.by_ref().nth(2)),
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(log: &str) -> String {
        render(log).into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn a_log_is_shown_as_a_terminal_would_leave_it() {
        for (written, text) in [
            ("\u{1b}[1;31mred\u{1b}[0m text\n", "red text\n"),
            ("10%\r50%\r100%\nnext", "100%\nnext"),
            ("dos\r\n", "dos\n"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("a\tb\u{8}\u{0}", "a\tb"),
            ("cut \u{1b}[3", "cut "),
        ] {
            assert_eq!(shown(written), text, "{written:?}");
        }
    }

    #[test]
    fn colours_become_classes_until_they_are_reset() {
        let pieces = render("a\u{1b}[1;31mb\nc\u{1b}[0md\u{1b}[38;5;31me\u{1b}[92mf");

        let looks: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.class.as_str(), piece.text.as_str()))
            .collect();
        let expected = [
            ("", "a"),
            ("bold ansi-1", "b"),
            ("", "\n"),
            ("bold ansi-1", "c"),
            ("", "de"),
            ("ansi-2", "f"),
        ];
        assert_eq!(looks, expected);
    }
}
