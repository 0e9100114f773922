//! Everything that pages, pulls and the administrator's calls read.

mod builds;
mod collections;
mod images;
mod queue;
mod tags;

use cooperage_protocol::UserId;
use uuid::Uuid;

pub use builds::{BuildRow, Builds, PhaseRow, build, builds, in_order, phases};
pub use collections::{CollectionRow, SettingsRow, collection, collections, settings};
pub use images::{ImageFilter, ImageRow, images};
pub use queue::{collection_of_delivery, deliveries, workers};
pub use tags::{TagRow, tags};

/// Which part of a list is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How many rows at most.
    pub limit: i64,
    /// How many rows are left out at the beginning.
    pub offset: i64,
}

impl Window {
    /// The whole list.
    pub const ALL: Self = Self {
        limit: i64::MAX,
        offset: 0,
    };
}

/// The beginning of a list.
impl From<i64> for Window {
    fn from(limit: i64) -> Self {
        Self { limit, offset: 0 }
    }
}

/// Which collections are shown in a list, and what belongs to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Who looks; nobody that is known, when absent.
    pub person: Option<UserId>,
    /// Whether all collections are shown, whosever they are.
    pub everything: bool,
}

impl Sight {
    /// That of an administrator.
    pub const EVERYTHING: Self = Self {
        person: None,
        everything: true,
    };

    fn person(self) -> Option<Uuid> {
        self.person.map(|person| person.0)
    }
}
