//! What a kept tree depends on, as its name.

use sha2::{Digest, Sha256};

use crate::sandbox::Namespace;

/// Changes when the same inputs make another tree.
const FORMAT: &str = "2";

/// What a tree depends on, as its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

/// Hashes what a tree depends on, a piece at a time.
pub(crate) struct KeyOf(Sha256);

impl Key {
    /// Begins a key of trees that belong to a namespace.
    pub(crate) fn of(kind: &str, namespace: &Namespace) -> KeyOf {
        let key = KeyOf(Sha256::new());
        key.and(FORMAT)
            .and(env!("CARGO_PKG_VERSION"))
            .and(kind)
            .and(&namespace.signature())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyOf {
    /// Adds a piece. Its length counts, so that no two lists of pieces are the same bytes.
    #[must_use]
    pub(crate) fn and(mut self, piece: &(impl AsRef<[u8]> + ?Sized)) -> Self {
        let piece = piece.as_ref();
        self.0.update((piece.len() as u64).to_le_bytes());
        self.0.update(piece);
        self
    }

    pub(crate) fn end(self) -> Key {
        Key(hex::encode(self.0.finalize()))
    }
}
