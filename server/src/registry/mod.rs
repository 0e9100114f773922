//! The hub as a registry: what clients push, and what becomes of it.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>
//!
//! [`upload`] takes the bytes of blobs. [`push`] takes manifests: that of a SIF publishes an image
//! of the collection, which has a page and can be pulled by every protocol; any other is kept as
//! it is, for clients that understand it. [`remove`] deletes.

mod error;
pub(crate) mod manifest;
pub(crate) mod push;
pub(crate) mod remove;
pub(crate) mod upload;

pub(crate) use error::{Code, RegistryError};
