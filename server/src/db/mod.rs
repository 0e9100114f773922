//! All SQL of the hub, one file per table.

pub mod logs;
pub mod sessions;
pub mod users;
pub mod views;
