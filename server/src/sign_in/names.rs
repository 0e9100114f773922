//! What is somebody called here who comes from a provider? As there, as far as that is a name.

use cooperage_protocol::AccountName;

/// Leaves room for a number.
const LONGEST: usize = 34;
const TRIES: u32 = 1000;

/// The names to try, the best first: as the provider calls them, then with numbers.
pub(super) fn candidates(called: &str) -> impl Iterator<Item = AccountName> {
    let base = as_name(called);
    (1..=TRIES).filter_map(move |number| {
        let name = if number == 1 {
            base.clone()
        } else {
            format!("{base}-{number}")
        };
        name.parse().ok()
    })
}

/// The part before `@` where there is one, without what no name has.
fn as_name(called: &str) -> String {
    let local = called.split('@').next().unwrap_or_default();
    let mut name = String::new();
    for letter in local.trim().to_lowercase().chars() {
        if letter.is_ascii_alphanumeric() || "-_.".contains(letter) {
            name.push(letter);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(LONGEST);
    let name = name.trim_matches(|letter| "-_.".contains(letter));
    if name.is_empty() { "user" } else { name }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_provider_calls_somebody_is_made_a_name() {
        for (called, name) in [
            ("ada", "ada"),
            ("Ada.Lovelace@example.org", "ada.lovelace"),
            ("Ada Lovelace", "ada-lovelace"),
            ("<script>", "script"),
            ("..", "user"),
            ("", "user"),
            ("Åsa", "sa"),
            (&"a".repeat(99), &"a".repeat(LONGEST)),
        ] {
            let first = candidates(called).next().unwrap();
            assert_eq!(first.as_str(), name, "{called:?}");
        }
        let names: Vec<_> = candidates(&"b".repeat(99)).collect();
        assert_eq!(names.len(), 1000);
        assert!(names[999].as_str().ends_with("b-1000"), "{}", names[999]);
    }
}
