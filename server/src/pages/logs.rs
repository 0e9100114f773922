//! The text of a log as a page can show it: what a terminal would do with it is done.

/// Takes out escape sequences and control characters, and of a line that was written over by
/// carriage returns (as progress bars do) all but the last writing.
pub(super) fn plain(text: &str) -> String {
    let text = strip_escapes(text);
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        let line = line.trim_end_matches('\r');
        let last = line.rsplit('\r').next().unwrap_or(line);
        shown.extend(last.chars().filter(|c| *c == '\t' || !c.is_control()));
        shown.push_str(end);
    }
    shown
}

/// ECMA-48: `ESC [ … letter`, `ESC ] … BEL`, and two-character sequences.
fn strip_escapes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            kept.push(c);
            continue;
        }
        match chars.next() {
            Some('[') => {
                chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
            Some(']') => {
                let mut before = ' ';
                chars.by_ref().find(|c| {
                    let is_end = *c == '\u{7}' || *c == '\n' || (before == '\u{1b}' && *c == '\\');
                    before = *c;
                    is_end
                });
            }
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_shown_as_a_terminal_would_leave_it() {
        for (written, shown) in [
            ("\u{1b}[1;31mred\u{1b}[0m text\n", "red text\n"),
            ("10%\r50%\r100%\nnext", "100%\nnext"),
            ("dos\r\n", "dos\n"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("a\tb\u{8}\u{0}", "a\tb"),
            ("cut \u{1b}[3", "cut "),
        ] {
            assert_eq!(plain(written), shown, "{written:?}");
        }
    }
}
