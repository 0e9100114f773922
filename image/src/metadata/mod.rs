//! `/.singularity.d` and what else an image carries about itself.
//!
//! Everything here works below a `root` folder with plain file operations. In production that is
//! `/` of a process that was moved into the image's tree; it never writes through a symbolic link
//! that an image left in place of a file.

mod apps;
mod base;
mod elf;
mod inspect;
mod labels;
mod oci;
mod stage;
mod tree;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::apps::{AppOfStage, install_apps, post_with_apps};
pub use self::base::{BaseKind, install_base};
pub(crate) use self::elf::head_of_program;
pub use self::inspect::{InspectFacts, facts};
pub use self::labels::build_date;
pub use self::oci::{OciConfig, install_oci_config};
pub use self::stage::{MetadataOfStage, install_stage};

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// The folder of an image's metadata.
const FOLDER: &str = ".singularity.d";

/// Errors of this module: the engine's own.
type Result<T> = std::result::Result<T, crate::Error>;

/// Text that may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scripts {
    /// The `%runscript` as a file.
    pub runscript: Option<String>,
    /// The `%startscript` as a file.
    pub startscript: Option<String>,
    /// The `%test` as a file.
    pub test: Option<String>,
    /// The `%help`.
    pub help: Option<String>,
    /// The `%environment` as shell.
    pub environment: Option<String>,
}

#[cfg(test)]
mod tests;
