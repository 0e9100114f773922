//! Where do the contents of files lie, for those who leave them there?

use std::sync::mpsc::Sender;

use super::data::Content;
use super::image::Image;
use crate::error::Error;

/// How many blocks may be told of: little is stored of an endless file of holes, but its list is
/// as long as that of any other.
const MOST_BLOCKS: u64 = 1 << 24;

/// Where the content of a file lies in the image. Nothing of it was read yet.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where its first stored block is.
    pub(crate) start: u64,
    /// Stored size of each block, with the bit of those that are not compressed; zero for a block
    /// of zeros.
    pub(crate) blocks: Vec<u32>,
    /// What remains behind the last whole block, if that does not lie in a block of its own.
    pub(crate) tail: Option<TailPlace>,
}

/// A part of a fragment block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TailPlace {
    pub(crate) fragment: FragmentPlace,
    pub(crate) offset: u32,
}

/// A fragment block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FragmentPlace {
    /// Its place in the table of the image.
    pub(crate) number: u32,
    pub(crate) start: u64,
    /// Its stored size, with the bit of those that are not compressed.
    pub(crate) size: u32,
}

/// Who is told where the contents lie.
pub(super) struct Places {
    told: Option<Sender<Place>>,
    blocks_left: u64,
}

impl Places {
    /// Tells nobody if there is none.
    pub(super) fn to(told: Option<Sender<Place>>) -> Self {
        Self {
            told,
            blocks_left: MOST_BLOCKS,
        }
    }

    /// Tells the place of a content that is going to be read. Once there is too much to tell nothing
    /// is told any more, and the other side comes to its end.
    pub(super) fn tell(&mut self, image: &mut Image, content: &Content) -> Result<(), Error> {
        let Some(told) = &self.told else {
            return Ok(());
        };
        let left = self.blocks_left.checked_sub(content.blocks());
        let is_heard = match left {
            Some(left) => {
                self.blocks_left = left;
                told.send(content.place(image)?).is_ok()
            }
            None => false,
        };
        if !is_heard {
            self.told = None;
        }
        Ok(())
    }
}
