//! The names that people give: collections (`owner/repo`) and tags.
//!
//! Their alphabets are those that the `shub://` clients accept, so that whatever the hub
//! publishes can be named by every client.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a collection, `owner/repo`, in the spelling its owner chose.
///
/// Two names that differ only in capitals are the same collection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CollectionName {
    owner: String,
    repository: String,
}

/// The tag of an image, one to 64 characters of `-_.a-zA-Z0-9`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// The name of an account or of a team, one to 39 characters of `-_.a-zA-Z0-9`.
///
/// Two names that differ only in capitals are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(String);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not of the form `owner/repo` in the allowed characters.
    #[error(
        "collection name {0:?} is not OWNER/REPO with an owner of up to 39 letters, digits and \
         '-', and a repository of up to 64 letters, digits, '-', '_' and '.'"
    )]
    Collection(String),
    /// Not the name of an account or a team.
    #[error("name {0:?} is not 1 to 39 letters, digits, '-', '_' and '.'")]
    Account(String),
    /// Not a tag.
    #[error("tag {0:?} is not 1 to 64 letters, digits, '-', '_' and '.'")]
    Tag(String),
}

impl CollectionName {
    /// The part before the slash.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The part after the slash.
    pub fn repository(&self) -> &str {
        &self.repository
    }
}

impl Tag {
    /// The tag of a recipe that names none.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name(text: &str, longest: usize, also: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
    (1..=longest).contains(&text.len()) && text.chars().all(allowed)
}

impl FromStr for CollectionName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidName::Collection(text.to_owned());
        let (owner, repository) = text.split_once('/').ok_or_else(invalid)?;
        let is_path = matches!(repository, "." | "..");
        if is_path || !is_name(owner, 39, "-") || !is_name(repository, 64, "-_.") {
            return Err(invalid());
        }
        Ok(Self {
            owner: owner.to_owned(),
            repository: repository.to_owned(),
        })
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.repository)
    }
}

impl FromStr for Tag {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text, 64, "-_.") {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName::Tag(text.to_owned()))
        }
    }
}

impl FromStr for AccountName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text, 39, "-_.") && !matches!(text, "." | "..") {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName::Account(text.to_owned()))
        }
    }
}

impl AccountName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! text_in_json {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    };
}

text_in_json!(CollectionName);
text_in_json!(Tag);
text_in_json!(AccountName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_is_an_owner_and_a_repository() {
        let name: CollectionName = "Lab-1/tool_v2.x".parse().unwrap();

        assert_eq!((name.owner(), name.repository()), ("Lab-1", "tool_v2.x"));
        assert_eq!(name.to_string(), "Lab-1/tool_v2.x");
    }

    #[test]
    fn names_that_no_client_could_ask_for_are_refused() {
        for text in [
            "", "lab", "lab/", "/tool", "lab/a/b", "l_b/tool", "lab/t ol", "lab/..",
        ] {
            assert!(text.parse::<CollectionName>().is_err(), "{text}");
        }
        for text in ["", "a b", "a/b", "a:b", &"x".repeat(65)] {
            assert!(text.parse::<Tag>().is_err(), "{text}");
        }
    }
}
