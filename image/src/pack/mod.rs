//! Layers in the form in which they lie in images, so that nothing is compressed twice.
//!
//! A pack is made of one layer while it streams, in one pass and with bounded memory. Its data is
//! squashfs blocks back to back; its index says what they are. Packs that lie over each other
//! become the file system of an image: their blocks are copied, or only listed, and its tables are
//! made afresh.
//!
//! | what | file |
//! |---|---|
//! | layer → data and index | `write`, `entries`, `index` |
//! | image → the same, its blocks as they are | `copied` |
//! | indexes → tree | `stack` |
//! | tree → ranges of packs, and tables | `assemble`, `ranges` |
//! | with a SIF around them → extents | `image`, `layout` |
//! | packs that are kept | `cache` |

mod assemble;
mod cache;
mod copied;
mod entries;
mod image;
mod index;
mod layout;
mod ranges;
mod squashfs;
mod stack;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

pub(crate) use self::assemble::{FileSystem, assemble};
pub(crate) use self::cache::{FOLDER, Key, Packs};
pub(crate) use self::copied::{Copied, CopiedBlocks};
pub(crate) use self::image::{Surroundings, wrap};
use self::index::Index;
pub use self::layout::{Digests, Extent, Layout, Object, ObjectBytes};
pub use self::squashfs::{write_squashfs, write_squashfs_over};
pub(crate) use self::write::Recording;

const DATA: &str = "data";
const INDEX: &str = "index";

/// A layer in the form in which it lies in images.
#[derive(Debug, Clone)]
pub(crate) struct Pack {
    folder: PathBuf,
    index: Arc<Index>,
    /// Removes the folder of a pack that is not kept.
    _temporary: Option<Arc<TempDir>>,
}

impl Pack {
    fn new(folder: PathBuf, index: Index) -> Self {
        Self {
            folder,
            index: Arc::new(index),
            _temporary: None,
        }
    }

    /// Its data, of which images are made.
    fn object(&self) -> Object {
        Object {
            sha256: self.index.data.sha256,
            size: self.index.data.size,
            bytes: ObjectBytes::File(self.folder.join(DATA)),
        }
    }
}
