//! What came of a build.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageFile {
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// MD5 of the file.
    pub md5: [u8; 16],
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
