//! Who may do what? One function decides; [`table`] says what each route needs, and [`guard`]
//! stands before all of them.

mod caller;
mod described;
mod guard;
pub(crate) mod link;
mod refusal;
pub(crate) mod registry;
pub(crate) mod signed;
mod table;
#[cfg(test)]
mod tests;

use cooperage_protocol::{CollectionId, Role, Scope, SessionId, TokenId, UserId, Visibility};

use crate::db::views::Sight;

#[cfg(test)]
pub(crate) use described::calls;
pub(crate) use described::{Needs, needs};
pub(crate) use guard::{Visit, guard};
pub(crate) use refusal::challenge;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Nobody that is known.
    Anonymous,
    /// Somebody with an account.
    Person(Person),
}

/// Somebody with an account, by a session or by a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// The account.
    pub(crate) id: UserId,
    /// Its name.
    pub(crate) name: String,
    /// Whether it is an administrator's: an owner of every collection, and of the hub.
    pub(crate) is_admin: bool,
    /// What the session or the token is good for.
    pub(crate) scopes: Vec<Scope>,
    /// How they proved who they are.
    pub(crate) by: Proof,
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// By the cookie of a session.
    Session(SessionId),
    /// By a token.
    Token(TokenId),
    /// By a link that they made for somebody else.
    Link,
}

/// What may be done to a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Know that it exists, see it, pull from it.
    Read,
    /// Push images to it.
    Push,
    /// Ask for its builds, and cancel them.
    Build,
    /// Change its settings, its members, or end it.
    Manage,
}

/// A collection as far as rights in it go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collection {
    /// Its id.
    pub(crate) id: CollectionId,
    /// Its name in its owner's spelling.
    pub(crate) name: String,
    /// Who sees it without a role.
    pub(crate) visibility: Visibility,
    /// The caller's own role, or the best of their teams'.
    pub(crate) role: Option<Role>,
}

/// Whether the caller may do this to the collection. Nothing else in the hub decides that.
///
/// # Security
///
/// Who may not [`Action::Read`] must not be able to tell the collection from one that is not there.
pub(crate) fn may(caller: &Caller, action: Action, collection: &Collection) -> bool {
    caller.has_scope_for(action) && caller.role_in(collection) >= Some(action.needs())
}

impl Action {
    /// The least role that suffices.
    fn needs(self) -> Role {
        match self {
            Self::Read => Role::Reader,
            Self::Push | Self::Build => Role::Builder,
            Self::Manage => Role::Owner,
        }
    }

    /// What those are told who may see the collection, but not do this to it.
    pub(crate) fn refusal(self) -> &'static str {
        match self {
            Self::Read => "this collection is not for you",
            Self::Push => "this needs a builder of the collection, and a token with the scope push",
            Self::Build => {
                "this needs a builder of the collection, and a token with the scope build"
            }
            Self::Manage => {
                "this needs an owner of the collection, and a token with the scope admin"
            }
        }
    }

    /// The scope of tokens for it; every token reads.
    fn scope(self) -> Option<Scope> {
        match self {
            Self::Read => None,
            Self::Push => Some(Scope::Push),
            Self::Build => Some(Scope::Build),
            Self::Manage => Some(Scope::Admin),
        }
    }
}

impl Caller {
    /// The account, if there is one.
    pub(crate) fn person(&self) -> Option<&Person> {
        match self {
            Self::Anonymous => None,
            Self::Person(person) => Some(person),
        }
    }

    /// Which collections the caller sees in lists: those that [`may`] says can be read.
    pub(crate) fn sight(&self) -> Sight {
        Sight {
            person: self.person().map(|person| person.id),
            everything: self.person().is_some_and(|person| person.is_admin),
        }
    }

    fn role_in(&self, collection: &Collection) -> Option<Role> {
        let by_visibility = match (collection.visibility, self) {
            (Visibility::Public, _) | (Visibility::Internal, Self::Person(_)) => Some(Role::Reader),
            (Visibility::Internal | Visibility::Private, _) => None,
        };
        let own = match self {
            Self::Person(person) if person.is_admin => Some(Role::Owner),
            Self::Person(_) => collection.role,
            Self::Anonymous => None,
        };
        own.max(by_visibility)
    }

    fn has_scope_for(&self, action: Action) -> bool {
        match (self, action.scope()) {
            (_, None) => true,
            (Self::Anonymous, Some(_)) => false,
            (Self::Person(person), Some(scope)) => person.has(scope),
        }
    }
}

impl Person {
    /// Whether the session or the token is good for this.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.scopes
            .iter()
            .any(|own| [scope, Scope::Admin].contains(own))
    }

    /// Whether they may do everything to the hub.
    pub(crate) fn runs_the_hub(&self) -> bool {
        self.is_admin && self.has(Scope::Admin)
    }
}
