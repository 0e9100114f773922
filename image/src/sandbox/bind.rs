//! Files and folders of the machine that a script sees inside of the image.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A file or folder of the machine, and where the image has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Its path on the machine.
    pub source: PathBuf,
    /// Its path in the image, from the root.
    pub target: PathBuf,
    /// Whether nothing may be written there.
    pub read_only: bool,
}
