//! Which parts of a header are never shown.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use super::suggest;

/// Keys whose values are never shown.
const KEYS: &[&str] = &["username", "password", "token", "regcode"];

/// Keys whose values are secrets also where they stand elsewhere in the definition.
const STRONG_KEYS: &[&str] = &["password", "token", "regcode"];

/// A key with another meaning that could be taken for a misspelt one.
const NO_SECRET: &str = "user";

/// How the names of variables with secrets end.
const VARIABLES: &[&str] = &[
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "SECRET",
    "API_KEY",
    "APIKEY",
    "SECRET_KEY",
];

/// What is shown instead of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// What must not be shown.
#[derive(Default, Clone)]
pub(super) struct Secrets {
    pub(super) ranges: Vec<Range<usize>>,
    pub(super) values: BTreeSet<String>,
}

impl Secrets {
    /// Notes the value of a key, if it is a secret.
    pub(super) fn note(&mut self, key: &str, value: &str, range: Range<usize>) {
        if is_secret(key) {
            self.ranges.push(range);
        }
        if STRONG_KEYS.contains(&key) || (is_misspelt(key) && !value.is_empty()) {
            self.values.insert(value.to_owned());
        }
    }
}

/// Whether the value of this lower-case key is never shown, also if the key is misspelt.
pub(super) fn is_secret(key: &str) -> bool {
    KEYS.contains(&key) || is_misspelt(key)
}

fn is_misspelt(key: &str) -> bool {
    key != NO_SECRET && !KEYS.contains(&key) && suggest::nearest(key, KEYS).is_some()
}

/// A line as it may be shown: without the value if it is a secret of a header.
pub(super) fn without_secret(line: &str) -> Cow<'_, str> {
    let text = line.trim_start();
    let end = text.find(|letter: char| letter == ':' || letter.is_whitespace());
    let key = &text[..end.unwrap_or(text.len())];
    let lower = key.to_lowercase();
    let has_colon = text[key.len()..].starts_with(':');
    let is_secret = KEYS.contains(&lower.as_str()) || has_colon && is_misspelt(&lower);
    if !is_secret {
        return match exported(line) {
            Some(name) => {
                let end = name.as_ptr() as usize - line.as_ptr() as usize + name.len();
                Cow::Owned(format!("{}={REDACTED}", &line[..end]))
            }
            None => Cow::Borrowed(line),
        };
    }
    let indentation = &line[..line.len() - text.len()];
    Cow::Owned(format!("{indentation}{key}: {REDACTED}"))
}

/// The name of a variable that a line of a script sets to a secret, which is written there.
pub(super) fn exported(line: &str) -> Option<&str> {
    let text = line.trim_start();
    let text = text.strip_prefix("export ").unwrap_or(text).trim_start();
    let (name, value) = text.split_once('=')?;
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_secret = VARIABLES.iter().any(|end| {
        let before = name.strip_suffix(end);
        before.is_some_and(|before| before.is_empty() || before.ends_with('_'))
    });
    let value = value.trim_start_matches(['"', '\'']);
    let is_literal = value.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    (is_secret && name.chars().all(is_name) && is_literal).then_some(name)
}
