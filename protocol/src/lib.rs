//! What the hub and its workers, and the hub and its command line, say to each other.
//!
//! Ids, names, digests, states and the JSON of every call. No I/O: everything here can be read
//! and tested without a network or a database.

pub mod accounts;
pub mod admin;
pub mod build;
pub mod check;
pub mod digest;
pub mod event;
pub mod ids;
pub mod image;
pub mod names;
pub mod password;
pub mod published;
pub mod recipe;
pub mod rights;
mod schema;
pub mod step_cache;
pub mod worker;

pub use build::{BuildState, Failure, FailureKind};
pub use check::RegistryCheck;
pub use digest::Digest;
pub use ids::{
    BuildId, CheckId, CollectionId, DeliveryId, IdentityId, ImageId, PushId, SessionId, TeamId,
    TokenId, UserId, WorkerId,
};
pub use names::{AccountName, CollectionName, Tag};
pub use password::Password;
pub use recipe::{Diagnostic, Mode, Severity};
pub use rights::{Role, Scope, Visibility};
pub use step_cache::StepCache;
