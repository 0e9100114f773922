//! What the root file system of a build lies in.

use std::path::PathBuf;

/// What the root file system of a build lies in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Root {
    /// A folder that has all of it.
    #[default]
    Folder,
    /// A folder that has what changes, laid over others that stay as they are: theirs are the
    /// paths, the uppermost first. Without any it begins empty.
    Overlay(Vec<PathBuf>),
}

impl Root {
    /// The folders that stay as they are.
    pub fn lowers(&self) -> &[PathBuf] {
        match self {
            Self::Folder => &[],
            Self::Overlay(lowers) => lowers,
        }
    }
}
