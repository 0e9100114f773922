//! How does the root file system of an image get into the tree, and into a pack?
//!
//! A squashfs that is compressed as packs are becomes a pack as it is: its blocks are copied.
//! Everything else is a layer as any other.

use std::fs::File;

use super::image_file::{Kind, Tree};
use super::{Below, Bootstrapper};
use crate::error::Error;
use crate::lower::Key;
use crate::pack::Copied;
use crate::squashfs::Bounds;

impl Bootstrapper<'_> {
    /// Takes the tree of an image from the cache, or has it unpacked.
    pub(super) fn keep_image(
        &mut self,
        (file, tree): (&File, &Tree),
        key: Key,
    ) -> Result<(), Error> {
        let bounds = Bounds {
            limits: self.request.limits,
            cancel: self.cancel,
        };
        let base = key.as_str().to_owned();
        self.keep(Some(key), &mut |bootstrapper| {
            bootstrapper.apply_image((file, tree), bounds)
        })?;
        match &mut self.packs {
            Some(packs) if tree.kind == Kind::Squashfs => {
                packs.complete(&base, tree.part(file), bounds)
            }
            _ => Ok(()),
        }
    }

    fn apply_image(
        &mut self,
        (file, tree): (&File, &Tree),
        bounds: Bounds<'_>,
    ) -> Result<(), Error> {
        match self.copy_image((file, tree))? {
            Some(copied) => copied.read(bounds, |layer, blocks| {
                self.apply_with((layer, Some(blocks)), None)
            }),
            None => tree.read(file, bounds, |layer| self.apply(layer, None)),
        }
    }

    /// Copies an image whose blocks a pack can have as they are, if somebody needs a pack.
    fn copy_image(&self, (file, tree): (&File, &Tree)) -> Result<Option<Copied>, Error> {
        let most = self.request.limits.disk.unwrap_or(u64::MAX);
        let can_be = tree.kind == Kind::Squashfs && tree.size <= most;
        match (&self.below, &self.packs) {
            (Below::Filling { key, .. }, Some(packs)) if can_be => packs.copy(key, tree.part(file)),
            _ => Ok(None),
        }
    }
}
