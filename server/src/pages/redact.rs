//! A definition's text without the accounts in its header, line for line.

/// Keys whose values are never shown.
const SECRET_KEYS: [&str; 3] = ["username", "password", "token"];

/// A shorter value is an ordinary word elsewhere.
const SHORTEST: usize = 4;

/// More of them than any definition has use for would hide everything.
const MOST_VALUES: usize = 100;

/// A definition in one piece, as [`lines`] gives it.
pub(crate) fn redacted(text: &str) -> String {
    let mut redacted = lines(text).join("\n");
    if text.ends_with('\n') {
        redacted.push('\n');
    }
    redacted
}

/// The lines of a definition; those of secret keys, with what continues them, say nothing, and
/// the values of passwords and tokens are hidden wherever else they stand.
pub(super) fn lines(text: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut hides_next = false;
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let hides = hides_next || is_secret(line);
            hides_next = hides && line.trim_end().ends_with('\\');
            if hides {
                values.extend(value(line).map(ToOwned::to_owned));
            }
            if hides { hidden(line) } else { line.to_owned() }
        })
        .collect();
    values.truncate(MOST_VALUES);
    lines.iter().map(|line| without(line, &values)).collect()
}

fn is_secret(line: &str) -> bool {
    key(line).is_some_and(|(key, _)| SECRET_KEYS.contains(&key.to_ascii_lowercase().as_str()))
}

fn key(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    Some((key.trim(), value.trim()))
}

/// What of a hidden line is a secret also elsewhere: a user name is not.
fn value(line: &str) -> Option<&str> {
    let value = match key(line) {
        Some((key, _)) if key.eq_ignore_ascii_case("username") => return None,
        Some((_, value)) => value,
        None => line,
    };
    let value = value.trim().trim_end_matches('\\').trim_end();
    Some(value).filter(|value| value.chars().count() >= SHORTEST)
}

fn hidden(line: &str) -> String {
    match key(line) {
        Some((key, _)) if is_secret(line) => format!("{key}: [redacted]"),
        _ => "[redacted]".to_owned(),
    }
}

fn without(line: &str, values: &[String]) -> String {
    values.iter().fold(line.to_owned(), |line, value| {
        line.replace(value.as_str(), "[redacted]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_hidden_with_their_continuations_and_wherever_else_they_stand() {
        let text = "From: x\nUsername: lab\nPassWord: hunter\\\n  two-three\n%post\n    \
                    echo hunter | login two-three lab\n";

        let lines = lines(text);

        assert_eq!(
            lines,
            [
                "From: x",
                "Username: [redacted]",
                "PassWord: [redacted]",
                "[redacted]",
                "%post",
                "    echo [redacted] | login [redacted] lab",
            ]
        );
    }

    #[test]
    fn short_values_are_words_elsewhere() {
        assert_eq!(
            lines("Password: no\n%post\n    echo no\n")[2],
            "    echo no"
        );
    }
}
