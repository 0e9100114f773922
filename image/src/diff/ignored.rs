//! What of two images is not compared?

use std::collections::BTreeSet;
use std::str::FromStr;

use super::difference::{Change, Difference, Fact, Subject};

/// Names of values that may be left out; those of attributes begin so.
const FACTS: [&str; 5] = ["mode", "owner", "time", "xattr", "contents"];
const SUBJECTS: [Subject; 7] = [
    Subject::Image,
    Subject::Object,
    Subject::File,
    Subject::Label,
    Subject::Definition,
    Subject::Environment,
    Subject::Text,
];

/// What is left out of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored(BTreeSet<&'static str>);

impl FromStr for Ignored {
    type Err = String;

    /// Reads names with commas between them, as `time,owner`.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || FACTS.into_iter().chain(SUBJECTS.map(Subject::as_str));
        let names = text.split(',').filter(|name| !name.is_empty());
        let names = names.map(|name| {
            known().find(|known| *known == name).ok_or_else(|| {
                let known: Vec<_> = known().collect();
                format!("{name} is not compared; these are: {}", known.join(", "))
            })
        });
        names.collect::<Result<_, _>>().map(Self)
    }
}

impl Ignored {
    /// Whether everything is compared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left of a difference.
    pub(super) fn keep(&self, mut difference: Difference) -> Option<Difference> {
        if self.0.contains(difference.of.as_str()) {
            return None;
        }
        if difference.change == Change::Changed && difference.of != Subject::Label {
            difference.facts.retain(|fact| !self.has(fact));
            if difference.facts.is_empty() {
                return None;
            }
        }
        Some(difference)
    }

    fn has(&self, fact: &Fact) -> bool {
        let name = match fact.name.split(' ').next().unwrap_or_default() {
            // Contents of another size are others.
            "size" => "contents",
            name => name,
        };
        self.0.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::Value;

    fn changed(names: &[&'static str]) -> Difference {
        let facts = names.iter().map(|name| Fact {
            name: (*name).into(),
            a: None,
            b: Some(Value::Number(1)),
        });
        Difference {
            of: Subject::File,
            name: "/a".to_owned(),
            change: Change::Changed,
            facts: facts.collect(),
        }
    }

    #[test]
    fn what_is_left_out_leaves_the_rest() {
        let ignored: Ignored = "time,xattr,contents".parse().unwrap();

        assert_eq!(
            ignored.keep(changed(&["time", "mode", "size"])),
            Some(changed(&["mode"]))
        );
        assert_eq!(ignored.keep(changed(&["time", "xattr user.a"])), None);
        let added = Difference {
            change: Change::Added,
            ..changed(&["time"])
        };
        assert_eq!(ignored.keep(added.clone()), Some(added));
    }

    #[test]
    fn a_name_that_means_nothing_is_refused_with_those_that_do() {
        let refused = "tme".parse::<Ignored>().unwrap_err();

        assert!(refused.starts_with("tme is not compared"), "{refused}");
        assert!(refused.contains("time"), "{refused}");
    }
}
