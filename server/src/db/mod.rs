//! All SQL of the hub, one file per table.

pub(crate) mod blobs;
pub mod builds;
pub(crate) mod checks;
pub mod collections;
pub(crate) mod credentials;
pub mod deliveries;
pub(crate) mod identities;
pub mod images;
pub(crate) mod invitations;
pub mod logs;
pub(crate) mod manifests;
pub(crate) mod members;
pub mod objects;
pub mod offers;
pub mod phases;
pub(crate) mod pulls;
pub(crate) mod pushes;
pub(crate) mod rights;
pub mod sessions;
pub(crate) mod sign_ins;
pub mod tags;
pub(crate) mod teams;
pub(crate) mod tokens;
pub mod users;
pub mod views;
pub mod workers;
