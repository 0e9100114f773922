//! Words of the shell.

/// The words of each command of a line, quotes included; nothing if a quote or a bracket is open.
pub(super) fn commands(line: &str) -> Option<Vec<Vec<&str>>> {
    let mut commands = vec![Vec::new()];
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let first = rest.chars().next();
        match first {
            None | Some('#') => return Some(commands),
            Some(';' | '&' | '|') => {
                commands.push(Vec::new());
                rest = rest.trim_start_matches([';', '&', '|']);
            }
            Some(_) => {
                let (word, after) = rest.split_at(end_of_word(rest)?);
                rest = after;
                commands.last_mut()?.push(word);
            }
        }
    }
}

/// Where the first word ends, which is not empty.
fn end_of_word(text: &str) -> Option<usize> {
    let mut open: Vec<char> = Vec::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (open.last(), letter) {
            (Some('\''), '\'') => drop(open.pop()),
            (Some('\''), _) => {}
            (_, '\\') => drop(letters.next()),
            (Some(closing), _) if *closing == letter => drop(open.pop()),
            (Some('"'), '\'') => {}
            (_, '\'' | '"' | '`') => open.push(letter),
            (_, '{') if text[..at].ends_with('$') => open.push('}'),
            (_, '(') => open.push(')'),
            (None, ';' | '&' | '|') => return Some(at),
            (None, _) if letter.is_whitespace() => return Some(at),
            _ => {}
        }
    }
    open.is_empty().then_some(text.len())
}

/// A word without the quotes around it.
pub(super) fn unquoted(word: &str) -> &str {
    let inside = |quote: char| word.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(word)
}

/// Whether a path is this folder's, or the folder itself with a slash.
pub(super) fn is_in(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder);
    rest.is_some_and(|rest| rest.starts_with('/'))
}
