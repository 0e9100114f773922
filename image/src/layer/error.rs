//! Why a layer could not be applied or a tree not be packed.

use std::io;

/// Why a layer could not be applied or a tree not be packed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The layer is not a well-formed tar archive.
    #[error("layer is not a valid tar archive: {0}")]
    Malformed(String),
    /// An entry of the layer asks for something that no image may contain.
    #[error("layer entry `{path}` {reason}")]
    Entry {
        /// Name of the entry, as the layer spells it.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The content is not what the image's configuration says.
    #[error("layer has digest {found} after decompression, but the image says {expected}")]
    Digest {
        /// The `diff_id` of the image's configuration.
        expected: String,
        /// What the content hashes to.
        found: String,
    },
    /// It takes more space than it may.
    #[error("base takes more space than the disk limit allows")]
    TooLarge,
    /// The compressed stream could not be read.
    #[error("reading the layer")]
    Read(#[source] io::Error),
    /// The file system refused something.
    #[error("{action} `{path}`")]
    Io {
        /// What was being done, as a participle.
        action: &'static str,
        /// To which path of the image.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: an I/O error with what was being done to which path of the image.
    pub(super) fn io<E: Into<io::Error>>(action: &'static str, path: &[u8]) -> impl Fn(E) -> Self {
        let path = String::from_utf8_lossy(path).into_owned();
        move |source| Self::Io {
            action,
            path: path.clone(),
            source: source.into(),
        }
    }

    /// An entry that no image may contain, with what is wrong with it.
    pub(crate) fn entry(path: &[u8], reason: impl Into<String>) -> Self {
        Self::Entry {
            path: String::from_utf8_lossy(path).into_owned(),
            reason: reason.into(),
        }
    }
}
