//! What differs in the texts that an image has for its users: labels, definition, environment and
//! scripts?

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::difference::{Difference, Facts, Subject, Value, compare as compare_facts, shown};

/// A larger file is no text that somebody wrote.
const LARGEST: u64 = 256 << 10;

/// Whether a file is such a text.
pub(super) fn is_text(path: &[u8], size: u64) -> bool {
    size <= LARGEST && subject(path).is_some()
}

/// What the text at a path is.
fn subject(path: &[u8]) -> Option<Subject> {
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let ([b".singularity.d", inner @ ..] | [b"scif", b"apps", _, b"scif", inner @ ..]) =
        names.as_slice()
    else {
        return None;
    };
    match inner {
        [b"labels.json"] => Some(Subject::Label),
        [b"Singularity"] => Some(Subject::Definition),
        [b"env", _] => Some(Subject::Environment),
        [b"runscript" | b"startscript" | b"test" | b"runscript.help"] => Some(Subject::Text),
        _ => None,
    }
}

/// Compares the texts that two images have at a path.
pub(super) fn compare(path: &[u8], a: Option<&str>, b: Option<&str>) -> Vec<Difference> {
    let Some(of) = subject(path) else {
        return Vec::new();
    };
    let labels = [a, b].map(|text| text.map_or(Some(BTreeMap::new()), read_labels));
    if of == Subject::Label
        && let [Some(a), Some(b)] = labels
    {
        return compare_labels(&prefix(path), &a, &b);
    }
    let name = format!("/{}", shown(path));
    let [a, b] = [a, b].map(|text| text.map(facts));
    compare_facts((of, &name), a, b).into_iter().collect()
}

fn facts(text: &str) -> Facts {
    vec![("text".into(), text.into())]
}

/// The labels of a file; those that are no text as JSON.
fn read_labels(text: &str) -> Option<BTreeMap<String, String>> {
    let labels: BTreeMap<String, Json> = serde_json::from_str(text).ok()?;
    let labels = labels.into_iter().map(|(name, value)| match value {
        Json::String(value) => (name, value),
        other => (name, other.to_string()),
    });
    Some(labels.collect())
}

/// What stands before the name of a label, so that apps may have the same.
fn prefix(path: &[u8]) -> String {
    let mut names = path.split(|byte| *byte == b'/');
    match (names.next(), names.next(), names.next()) {
        (Some(b"scif"), Some(b"apps"), Some(app)) => format!("app {}: ", shown(app)),
        _ => String::new(),
    }
}

fn compare_labels(
    prefix: &str,
    a: &BTreeMap<String, String>,
    b: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    let differences = names.into_iter().filter_map(|name| {
        let [a, b] = [a, b].map(|labels| {
            let value = labels.get(name);
            value.map(|value| vec![("value".into(), Value::Text(value.clone()))])
        });
        let name = format!("{prefix}{}", shown(name.as_bytes()));
        compare_facts((Subject::Label, &name), a, b)
    });
    differences.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::Change;

    #[test]
    fn labels_are_compared_one_by_one() {
        let path = b"scif/apps/hello/scif/labels.json";

        let found = compare(
            path,
            Some(r#"{"A":"1","B":"2","C":3}"#),
            Some(r#"{"A":"1","C":4,"D":"5"}"#),
        );

        let found: Vec<_> = found
            .iter()
            .map(|it| (it.of, it.name.as_str(), it.change))
            .collect();
        assert_eq!(
            found,
            [
                (Subject::Label, "app hello: B", Change::Removed),
                (Subject::Label, "app hello: C", Change::Changed),
                (Subject::Label, "app hello: D", Change::Added),
            ]
        );
    }

    #[test]
    fn labels_that_are_none_are_compared_as_a_text() {
        let found = compare(b".singularity.d/labels.json", Some("[]"), Some("{}"));

        assert_eq!(found[0].name, "/.singularity.d/labels.json");
        assert_eq!(found[0].facts[0].a, Some("[]".into()));
    }
}
