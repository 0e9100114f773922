//! What came of a build.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::pack::{Layout, Pack};

/// An image that was built.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// Where it lies.
    pub path: PathBuf,
    /// What is known of its file; a sandbox is none.
    pub file: Option<ImageFile>,
    /// What `inspect` tells of it.
    pub facts: Facts,
}

/// What is known of an image's file.
#[derive(Debug, Clone)]
pub struct ImageFile {
    /// Of which bytes it is made.
    pub layout: Layout,
    /// Keeps these bytes where the layout says that they are, for as long as it lives.
    pub hold: Hold,
}

/// Keeps parts of an image from being removed.
#[derive(Debug, Clone, Default)]
pub struct Hold {
    _cache: Option<Arc<File>>,
    _packs: Vec<Pack>,
}

impl Hold {
    pub(super) fn of(cache: File, packs: Vec<Pack>) -> Self {
        Self {
            _cache: Some(Arc::new(cache)),
            _packs: packs,
        }
    }
}

/// What `inspect` tells of an image.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Architecture in Go's spelling.
    pub architecture: String,
    /// The definition with its secrets redacted.
    pub definition: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Environment scripts by path.
    pub environment: BTreeMap<String, String>,
    /// The runscript.
    pub runscript: Option<String>,
    /// The startscript.
    pub startscript: Option<String>,
    /// The test.
    pub test: Option<String>,
    /// The help text.
    pub help: Option<String>,
    /// The base: full reference, and the digest of its manifest where it has one.
    pub base: Option<(String, Option<String>)>,
}
