//! Everything that pages, pulls and the administrator's calls read.

mod builds;
mod collections;
mod images;
mod queue;

pub use builds::{BuildRow, Builds, PhaseRow, build, builds, in_order, phases};
pub use collections::{CollectionRow, SettingsRow, collection, collections, settings};
pub use images::{ImageFilter, ImageRow, images};
pub use queue::{DeliveredBuild, DeliveryRow, collection_of_delivery, deliveries, workers};
