//! The Singularity image format: a file that holds a root file system and what belongs to it.
//!
//! A SIF is a header of 128 bytes, a table of descriptors of 585 bytes each, and the objects.
//! All numbers are little-endian and packed. See <https://github.com/apptainer/sif>.

mod format;
mod key;
mod keyring;
mod read;
mod verify;
mod write;

pub use self::key::{Lapse, PublicKey};
pub use self::keyring::{Fingerprint, Keyring};
pub use self::read::{FileSystem, Object, ObjectKind, Partition, Sif, from_file, open};
pub use self::verify::{Signatures, Unverified};
pub use self::write::{SifContents, Squashfs, head};

/// What is wrong with a SIF file.
#[derive(Debug, thiserror::Error)]
pub enum SifError {
    /// Reading failed.
    #[error("reading the image")]
    Read(#[source] std::io::Error),
    /// It is something else.
    #[error("not a SIF image")]
    NotSif,
    /// It is a SIF of another version.
    #[error("SIF version {0} is not known, only 01 is")]
    Version(String),
    /// The file says something that cannot be.
    #[error("SIF image is damaged: {0}")]
    Damaged(&'static str),
    /// What is to be written does not fit the format.
    #[error("{0}")]
    Contents(String),
}

#[cfg(test)]
pub(crate) mod test_keys;
#[cfg(test)]
mod tests;
