//! Accounts, their tokens and sessions, teams, and members of collections: JSON both ways.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AccountName, IdentityId, Role, Scope, SessionId, TokenId};

/// The account that calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Whether it is an administrator's.
    pub is_admin: bool,
    /// What the session or the token is good for.
    pub scopes: Vec<Scope>,
}

/// Makes a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// What it is for, in its owner's words.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What it is good for.
    #[schema(min_items = 1)]
    pub scopes: Vec<Scope>,
    /// After how many days it expires; never, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3650)]
    pub days: Option<u16>,
}

/// A token was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddedToken {
    /// The token; shown once.
    pub token: String,
}

/// A token in a list, which is not the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it is for, in its owner's words.
    pub name: String,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A login of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The address that it began from.
    pub address: String,
    /// What the browser calls itself.
    pub agent: String,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: DateTime<Utc>,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

/// An account elsewhere that one signs in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// What its provider is called here.
    pub provider: String,
    /// Who vouches.
    pub issuer: String,
    /// What one was called there when it was last used.
    pub name: String,
    /// When it was linked.
    pub created_at: DateTime<Utc>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Makes an account, without a password until its invitation is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewUser {
    /// Its name.
    pub name: AccountName,
    /// Whether it is an administrator's.
    #[serde(default)]
    pub is_admin: bool,
}

/// Changes an account; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserChange {
    /// Whether it is an administrator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_admin: Option<bool>,
    /// Whether it is shut out, with all its sessions and tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_disabled: Option<bool>,
}

/// A link that sets the password of an account, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invitation {
    /// The account.
    pub name: String,
    /// The link; shown once. What is secret in it follows the `#`, which browsers keep to themselves.
    pub url: String,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// An account in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Whether it is an administrator's.
    pub is_admin: bool,
    /// Whether it is shut out.
    pub is_disabled: bool,
    /// Whether its invitation waits to be taken.
    pub is_invited: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Makes a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewTeam {
    /// Its name.
    pub name: AccountName,
}

/// A team in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Team {
    /// Its name.
    pub name: String,
    /// The names of its accounts.
    pub members: Vec<String>,
}

/// Who has a role in a collection: `{"user": NAME}` or `{"team": NAME}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// An account.
    User(AccountName),
    /// A team: each of its accounts.
    Team(AccountName),
}

impl Who {
    /// The account or team of this kind (`user` or `team`); nothing when it is neither.
    pub fn of(kind: &str, name: AccountName) -> Option<Self> {
        match kind {
            "user" => Some(Self::User(name)),
            "team" => Some(Self::Team(name)),
            _ => None,
        }
    }

    /// `user` or `team`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Team(_) => "team",
        }
    }

    /// The name.
    pub fn name(&self) -> &AccountName {
        match self {
            Self::User(name) | Self::Team(name) => name,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// The role of somebody in a collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Who has it.
    #[serde(flatten)]
    pub who: Who,
    /// Which one.
    pub role: Role,
}

/// Makes a link to a file, for somebody without an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewLink {
    /// The file, as in the addresses of images: `TAG.sif`, `TAG@COMMIT.sif` or `sha256:DIGEST.sif`.
    #[schema(pattern = "^[A-Za-z0-9_.@:-]+$")]
    pub file: String,
    /// How long it is good for, in seconds: 30 days at most.
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub seconds: u32,
}

/// A link to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// The link, which is all that somebody needs.
    pub url: String,
    /// When it expires; before that it ends when its maker may not read the collection any more.
    pub expires_at: DateTime<Utc>,
}
