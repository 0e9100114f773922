//! The engine: a definition and a folder of files in, a SIF image out. It knows nothing of hubs,
//! queues or databases, and needs neither root nor an installed Singularity.
//!
//! The line through the crate: [`definition`] parses, [`base`] bootstraps the root file system
//! (from [`oci`] registries and other sources), [`sandbox`] runs the scripts, [`metadata`] writes
//! `/.singularity.d`, [`squashfs`] packs the tree and [`sif`] wraps it; [`ext3`] reads older images. [`Engine::build`] is that
//! line as one function.
//!
//! A program that uses this crate calls [`sandbox::enter_if_asked`] first thing in `main`, before
//! any thread exists: work inside a user namespace is done by the same program, executed again.

mod apart;
pub mod base;
pub mod cache;
mod cancellable;
pub mod classic;
pub mod definition;
pub mod diff;
mod download;
mod engine;
mod error;
pub mod ext3;
pub mod files;
pub mod inside;
pub mod inspect;
pub mod layer;
mod lower;
pub mod metadata;
pub mod oci;
pub mod pack;
mod pull;
pub mod replace;
mod rooted;
pub mod runtime;
pub mod sandbox;
pub mod sif;
pub mod squashfs;

pub use engine::{
    BuiltImage, Cancel, Context, Engine, Event, Facts, Hold, ImageFile, Limits, Output, Part,
    Parts, Permissions, Phase, Progress, Request, Roots, Settings, Sources, Test,
    definition_of_image, definition_of_uri,
};
pub use error::{Error, FailureKind};
