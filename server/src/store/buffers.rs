//! Memory that images are read into, used again and again: to get it from the system, filled with
//! zeros, takes as long as to fill it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of one buffer: it stays in the processor's cache from the disk's to the network's side.
pub(super) const SIZE: usize = 128 << 10;

/// Buffers that are kept while nobody uses them.
const MOST_KEPT: usize = 64;

/// The buffers that nobody uses now. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Box<[u8]>>>>);

impl Buffers {
    /// A buffer with whatever was in it.
    pub(super) fn take(&self) -> Buffer {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer {
            bytes: kept.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice()),
            length: 0,
            home: self.clone(),
        }
    }
}

/// A buffer, which goes back when it is dropped.
pub(super) struct Buffer {
    /// All of it.
    pub(super) bytes: Box<[u8]>,
    length: usize,
    home: Buffers,
}

impl Buffer {
    /// The first bytes, without copying them.
    pub(super) fn freeze(mut self, length: usize) -> Bytes {
        self.length = length.min(SIZE);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_KEPT {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}
