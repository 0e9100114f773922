//! Packs the tree of a stage, from which the image is made.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use super::stage::StageBuild;
use crate::cancellable::Cancellable;
use crate::error::Error;
use crate::inside::Task;
use crate::pack::{Pack, Packs, Recording};
use crate::sandbox::{Output, Streams};

impl StageBuild<'_> {
    /// All that lies over each other in the image, the lowest first.
    pub(super) fn packs(&self) -> Result<Vec<Pack>, Error> {
        let packs = Packs::of(&self.order.settings.cache)?;
        let tree = self.pack_tree(&packs)?;
        self.order.watch.check()?;
        Ok(vec![tree])
    }

    fn recording(&self) -> Recording<'_> {
        Recording {
            packing: self.order.request.packing,
            below: &[],
            cancel: &self.order.watch.cancel,
        }
    }

    /// The whole tree, in a pack that is not kept.
    fn pack_tree(&self, packs: &Packs) -> Result<Pack, Error> {
        let task = Task::StreamTree {
            latest: self.order.request.epoch,
            ledger: self.ledger.clone(),
        };
        let (tree, writer) = io::pipe().map_err(Error::io("creating", "a pipe"))?;
        let streams = Streams {
            input: None,
            output: Output::File(OwnedFd::from(writer)),
        };
        // Files of nothing but holes take no space and have no end.
        let cancel = &self.order.watch.cancel;
        let tree = Cancellable::new(tree, cancel);
        let (streamed, packed) = thread::scope(|scope| {
            let packing = scope.spawn(|| packs.make_temporary(tree, self.recording()));
            let streamed = self.workspace.perform(&task, streams);
            (streamed, packing.join())
        });
        let packed = packed.map_err(|_| Error::Internal("the packer panicked".to_owned()))?;
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        // A tree that cannot be read breaks off, and only the reader knows why; but a packer that
        // gives up closes the pipe.
        match (streamed, packed) {
            (_, Err(error @ Error::Io { .. })) | (Err(error), _) => Err(error),
            (Ok(_), packed) => packed,
        }
    }
}
