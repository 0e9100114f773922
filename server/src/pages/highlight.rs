//! A definition with its sections, header and comments told apart.

/// A line of a definition, in up to two parts of different look.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The class of the first part, a name of the style sheet.
    pub(super) class: &'static str,
    /// The first part.
    pub(super) marked: &'a str,
    /// The rest of the line.
    pub(super) rest: &'a str,
}

/// Marks the lines of a definition. It is for the eye: nothing is decided by it.
pub(super) fn definition(text: &str) -> Vec<Line<'_>> {
    let mut is_header = true;
    text.lines()
        .map(|line| mark(line, &mut is_header))
        .collect()
}

fn mark<'a>(line: &'a str, is_header: &mut bool) -> Line<'a> {
    let start = line.trim_start();
    if start.starts_with('#') {
        return Line {
            class: "comment",
            marked: line,
            rest: "",
        };
    }
    if start.starts_with('%') && line.starts_with('%') {
        *is_header = false;
        let end = line.find(char::is_whitespace).unwrap_or(line.len());
        return split(line, end, "section");
    }
    match line.find(':') {
        Some(colon) if *is_header => split(line, colon + 1, "key"),
        _ => split(line, 0, "plain"),
    }
}

fn split<'a>(line: &'a str, at: usize, class: &'static str) -> Line<'a> {
    Line {
        class,
        marked: &line[..at],
        rest: &line[at..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_sections_and_comments_are_told_apart() {
        let lines = definition("Bootstrap: docker\n# why\n%post -c sh\n    a: b\n");

        let classes: Vec<_> = lines.iter().map(|line| (line.class, line.marked)).collect();
        let expected = [
            ("key", "Bootstrap:"),
            ("comment", "# why"),
            ("section", "%post"),
            ("plain", ""),
        ];
        assert_eq!(classes, expected);
    }
}
