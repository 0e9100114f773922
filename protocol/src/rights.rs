//! Who may do what: how far a collection is seen, roles in it, and what a token is good for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who may see and pull a collection without having a role in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody.
    #[default]
    Public,
    /// Everybody who has an account.
    Internal,
    /// Nobody: it does not exist for those who have no role.
    Private,
}

/// What somebody may do in a collection; each role has all rights of those before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees and pulls.
    Reader,
    /// Asks for builds, cancels them, and pushes images.
    Builder,
    /// Decides about settings, members, and the end of the collection.
    Owner,
}

/// What a token is good for; never more than its account may do. All of them read.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Sees and pulls.
    Read,
    /// Pushes images.
    Push,
    /// Asks for builds and cancels them.
    Build,
    /// Everything that the account may.
    Admin,
}

/// A word that is none of those that are known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not one of {known}")]
pub struct UnknownWord {
    word: String,
    known: &'static str,
}

macro_rules! words {
    ($name:ident: $($variant:ident = $word:literal),+; $known:literal) => {
        impl $name {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in JSON, on pages and in the database.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { word: text.to_owned(), known: $known }),
                }
            }
        }
    };
}

words!(Visibility: Public = "public", Internal = "internal", Private = "private";
    "public, internal and private");
words!(Role: Reader = "reader", Builder = "builder", Owner = "owner"; "reader, builder and owner");
words!(Scope: Read = "read", Push = "push", Build = "build", Admin = "admin";
    "read, push, build and admin");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
        }

        let told = "Owner".parse::<Role>().unwrap_err().to_string();
        assert_eq!(told, "\"Owner\" is not one of reader, builder and owner");
        assert!(Role::Owner > Role::Builder && Role::Builder > Role::Reader);
    }
}
