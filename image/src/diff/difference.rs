//! What is a difference, and how are two lists of values compared?

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// What something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// The image as a whole.
    Image,
    /// An object of a SIF.
    Object,
    /// A file of any kind.
    File,
    /// A label.
    Label,
    /// The definition that an image was built from.
    Definition,
    /// A script that sets the environment.
    Environment,
    /// Another text that an image has for its users, as the runscript.
    Text,
}

impl Subject {
    /// The subject in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Object => "object",
            Self::File => "file",
            Self::Label => "label",
            Self::Definition => "definition",
            Self::Environment => "environment",
            Self::Text => "text",
        }
    }
}

/// Which of the images has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Only the second.
    Added,
    /// Only the first.
    Removed,
    /// Both, with other values.
    Changed,
}

/// Something that is not the same in two images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is about.
    pub of: Subject,
    /// Which one: the path of a file, the name of a label. Bytes that are no text are escaped
    /// (`\xff`), a backslash is `\\`.
    pub name: String,
    /// Which of the images has it.
    pub change: Change,
    /// The values that are not the same.
    #[serde(serialize_with = "as_map")]
    pub facts: Vec<Fact>,
}

/// A value that is not the same in both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is, in a word or two (`mode`).
    #[serde(skip)]
    pub name: Cow<'static, str>,
    /// The value in the first image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<Value>,
    /// The value in the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<Value>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A number: bytes, or seconds since 1970.
    Number(i64),
    /// Anything else.
    Text(String),
}

/// What is known of something, by name.
pub(super) type Facts = Vec<(Cow<'static, str>, Value)>;

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

fn as_map<S: Serializer>(facts: &[Fact], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(facts.len()))?;
    for fact in facts {
        map.serialize_entry(&fact.name, fact)?;
    }
    map.end()
}

/// Compares what two images have of something; nothing if they have the same.
pub(super) fn compare(
    (of, name): (Subject, &str),
    a: Option<Facts>,
    b: Option<Facts>,
) -> Option<Difference> {
    let change = match (&a, &b) {
        (None, None) => return None,
        (None, Some(_)) => Change::Added,
        (Some(_), None) => Change::Removed,
        (Some(a), Some(b)) if a == b => return None,
        (Some(_), Some(_)) => Change::Changed,
    };
    Some(Difference {
        of,
        name: name.to_owned(),
        change,
        facts: different(a.unwrap_or_default(), b.unwrap_or_default()),
    })
}

fn different(a: Facts, mut b: Facts) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (name, value) in a {
        let known = b.iter().position(|(other, _)| *other == name);
        let other = known.map(|index| b.remove(index).1);
        if other.as_ref() != Some(&value) {
            facts.push(Fact {
                name,
                a: Some(value),
                b: other,
            });
        }
    }
    let only_in_b = b.into_iter().map(|(name, value)| Fact {
        name,
        a: None,
        b: Some(value),
    });
    facts.extend(only_in_b);
    facts
}

/// The same files and texts in other bytes.
pub(super) fn bytes(place: u64) -> Difference {
    let place = Some(Value::from(place));
    Difference {
        of: Subject::Image,
        name: "bytes".to_owned(),
        change: Change::Changed,
        facts: vec![Fact {
            name: "first difference".into(),
            a: place.clone(),
            b: place,
        }],
    }
}

/// Bytes as text: what is none is escaped, and so that it can be told apart, a backslash is.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                control if control.is_control() => text.extend(control.escape_default()),
                other => text.push(other),
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(values: &[(&'static str, &str)]) -> Facts {
        let values = values.iter();
        values
            .map(|(name, value)| ((*name).into(), Value::from(*value)))
            .collect()
    }

    #[test]
    fn only_values_that_are_not_the_same_are_told() {
        let a = facts(&[("kind", "file"), ("mode", "0644"), ("size", "3")]);
        let b = facts(&[("kind", "file"), ("mode", "0755"), ("target", "x")]);

        let found = compare((Subject::File, "/a"), Some(a.clone()), Some(b)).unwrap();

        assert_eq!(found.change, Change::Changed);
        assert_eq!(
            serde_json::to_string(&found).unwrap(),
            r#"{"of":"file","name":"/a","change":"changed","facts":{"mode":{"a":"0644","b":"0755"},"size":{"a":"3"},"target":{"b":"x"}}}"#
        );
        assert_eq!(
            compare((Subject::File, "/a"), Some(a.clone()), Some(a)),
            None
        );
    }

    #[test]
    fn names_do_nothing_to_a_terminal_and_stay_different() {
        assert_eq!(shown("a\u{1b}[2Jß\n".as_bytes()), "a\\u{1b}[2Jß\\n");
        assert_eq!(shown(b"\xff"), "\\xff");
        assert_eq!(shown(b"\\xff"), "\\\\xff");
    }
}
