//! The shell's expansion of one word: braces, `~`, variables and wildcards; no commands.

use std::env;
use std::iter::Peekable;
use std::str::Chars;

/// More words than this come from braces only by malice.
const MOST_WORDS: usize = 1000;
/// No path is longer; a longer word would cost time and memory that grow with its square.
const LONGEST_WORD: usize = 4096;

/// The words that braces, home and variables make of one.
pub(crate) fn words(word: &str, is_own: bool) -> Vec<String> {
    if word.len() > LONGEST_WORD {
        return vec![word.to_owned()];
    }
    let words = braces(word);
    if !is_own {
        return words;
    }
    words.iter().map(|word| variables(&home(word))).collect()
}

/// The paths that a word stands for, whether they exist or not; `list` tells the names in a folder.
pub(crate) fn paths(word: &str, list: &mut dyn FnMut(&str) -> Vec<String>) -> Vec<String> {
    let root = if word.starts_with('/') { "/" } else { "" };
    let mut found = vec![root.to_owned()];
    for pattern in word.split('/').filter(|pattern| !pattern.is_empty()) {
        for path in std::mem::take(&mut found) {
            let is_start = path.is_empty() || path.ends_with('/');
            let slash = if is_start { "" } else { "/" };
            let names = names(&path, pattern, list).into_iter();
            found.extend(names.map(|name| format!("{path}{slash}{name}")));
        }
    }
    found
}

fn names(folder: &str, pattern: &str, list: &mut dyn FnMut(&str) -> Vec<String>) -> Vec<String> {
    if !has_wildcards(pattern) {
        return vec![plain(pattern)];
    }
    let mut names = list(folder);
    names.retain(|name| matches(pattern, name));
    names
}

/// Whether a part of a path is a pattern.
fn has_wildcards(pattern: &str) -> bool {
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// A word without its backslashes.
pub(crate) fn plain(word: &str) -> String {
    let mut plain = String::new();
    let mut characters = word.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' {
            characters.next()
        } else {
            Some(character)
        });
    }
    plain
}

/// Whether a name matches a pattern; a leading dot has to be written.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    matches_here(&pattern, &name)
}

/// A star that fails is tried one character further on: never more than pattern times name.
fn matches_here(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut star = None;
    while here < name.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, here));
            at += 1;
        } else if let Some(length) = matches_one(&pattern[at..], name[here]) {
            at += length;
            here += 1;
        } else if let Some((star_at, star_here)) = star {
            star = Some((star_at, star_here + 1));
            (at, here) = (star_at + 1, star_here + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|character| *character == '*')
}

/// How much of the pattern's beginning stands for this character.
fn matches_one(pattern: &[char], character: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == character).then_some(2),
        ['[', rest @ ..] => match set(rest, character) {
            Some((length, is_in)) => is_in.then_some(length + 1),
            None => (character == '[').then_some(1),
        },
        [plain, ..] => (*plain == character).then_some(1),
        [] => None,
    }
}

/// Length of a set behind its bracket, and whether the character is in it.
fn set(pattern: &[char], character: char) -> Option<(usize, bool)> {
    let is_negated = matches!(pattern.first(), Some('!' | '^'));
    let begin = usize::from(is_negated);
    let end = begin
        + 1
        + pattern
            .get(begin + 1..)?
            .iter()
            .position(|end| *end == ']')?;
    let mut members = &pattern[begin..end];
    let mut is_member = false;
    while let Some((first, rest)) = members.split_first() {
        (is_member, members) = match rest {
            ['-', last, rest @ ..] => (is_member || (*first..=*last).contains(&character), rest),
            _ => (is_member || *first == character, rest),
        };
    }
    Some((end + 1, is_member != is_negated))
}

/// `a{b,c}` is `ab` and `ac`; braces without a comma stand for themselves.
fn braces(word: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut waiting = vec![word.to_owned()];
    while let Some(word) = waiting.pop() {
        match first_braces(&word) {
            Some((before, choices, after)) if waiting.len() + done.len() < MOST_WORDS => {
                let words = choices
                    .iter()
                    .rev()
                    .map(|choice| format!("{before}{choice}{after}"));
                waiting.extend(words);
            }
            _ => done.push(word),
        }
    }
    done
}

fn first_braces(word: &str) -> Option<(&str, Vec<&str>, &str)> {
    word.match_indices('{')
        .filter(|(at, _)| !word[..*at].ends_with(['$', '\\']))
        .find_map(|(at, _)| {
            let (choices, length) = choices(&word[at + 1..])?;
            Some((&word[..at], choices, &word[at + 1 + length..]))
        })
}

fn choices(text: &str) -> Option<(Vec<&str>, usize)> {
    let (mut depth, mut begin, mut choices) = (0_u32, 0, Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                choices.push(&text[begin..at]);
                begin = at + 1;
            }
            '}' => {
                choices.push(&text[begin..at]);
                return (choices.len() > 1).then_some((choices, at + 1));
            }
            _ => {}
        }
    }
    None
}

fn home(word: &str) -> String {
    match word.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => variable("HOME") + rest,
        _ => word.to_owned(),
    }
}

fn variables(word: &str) -> String {
    let mut expanded = String::new();
    let mut characters = word.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                expanded.push('\\');
                expanded.extend(characters.next());
            }
            '$' => expanded += &after_dollar(&mut characters),
            _ => expanded.push(character),
        }
    }
    expanded
}

fn after_dollar(characters: &mut Peekable<Chars<'_>>) -> String {
    if characters.next_if_eq(&'{').is_some() {
        let name: String = characters
            .by_ref()
            .take_while(|character| *character != '}')
            .collect();
        return variable(&name);
    }
    let mut name = String::new();
    while let Some(character) = characters.next_if(|next| next.is_alphanumeric() || *next == '_') {
        name.push(character);
    }
    if name.is_empty() {
        "$".to_owned()
    } else {
        variable(&name)
    }
}

/// What a variable holds is a path, not a pattern.
fn variable(name: &str) -> String {
    let value = env::var_os(name)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    value.chars().flat_map(escape).collect()
}

fn escape(character: char) -> impl Iterator<Item = char> {
    let needs_escape = matches!(character, '\\' | '*' | '?' | '[');
    needs_escape.then_some('\\').into_iter().chain([character])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_like_a_shells() {
        for (pattern, name) in [
            ("*.py", "a.py"),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[!a]x", "bx"),
            ("*", "x"),
            ("*a*b*", "xxaxxbxx"),
            (".*", ".git"),
            ("\\*", "*"),
            ("[", "["),
        ] {
            assert!(matches(pattern, name), "{pattern} should match {name}");
        }
        for (pattern, name) in [
            ("*.py", "a.pyc"),
            ("*", ".git"),
            ("[!a]x", "ax"),
            ("\\*", "x"),
        ] {
            assert!(!matches(pattern, name), "{pattern} should not match {name}");
        }
    }

    #[test]
    fn braces_make_several_words() {
        assert_eq!(words("a{b,c{d,e}}f", false), ["abf", "acdf", "acef"]);
        assert_eq!(words("a{b}", false), ["a{b}"]);
    }

    #[test]
    fn a_word_longer_than_any_path_is_not_expanded() {
        let word = format!("a{{{}}}", ",".repeat(LONGEST_WORD));

        assert_eq!(words(&word, false), [word]);
    }

    #[test]
    fn a_strangers_word_does_not_see_our_environment() {
        assert_eq!(words("~/$HOME", false), ["~/$HOME"]);
    }
}
