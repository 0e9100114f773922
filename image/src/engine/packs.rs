//! Packs of what a stage's root file system lies over, and of the rest.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use super::request;
use super::stage::StageBuild;
use crate::base::{BasePacks, Packed};
use crate::cancellable::Cancellable;
use crate::error::Error;
use crate::inside::Task;
use crate::pack::{Key, Pack, Packs, Recording};
use crate::sandbox::{Output, Root, Streams};

impl<'a> StageBuild<'a> {
    /// Where packs of the base come from, if the image is made of packs.
    pub(super) fn base_packs(&self) -> Result<Option<BasePacks<'a>>, Error> {
        if !self.makes_packs() {
            return Ok(None);
        }
        let packs = Packs::of(&self.order.settings.cache)?;
        Ok(Some(BasePacks::new(packs, self.recording(&[]))))
    }

    /// Whether the stage becomes an image of packs.
    pub(super) fn makes_packs(&self) -> bool {
        matches!(self.order.request.output, request::Output::Sif(_)) && self.is_last()
    }

    /// Packs the base, which nothing has changed yet, if there are no packs of it.
    pub(super) fn complete(&self, base: Packed) -> Result<Vec<Pack>, Error> {
        let base = match base {
            Packed::Whole(packs) => return Ok(packs),
            Packed::Nothing(base) => base,
        };
        self.say("packing the base");
        let packs = Packs::of(&self.order.settings.cache)?;
        let key = Key::of("tree", base.as_str(), self.order.request.packing);
        let pack = packs.keep(&key, self.pack(&packs, &self.whole_tree(), &[])?)?;
        packs.write_list(&base, &[&key])?;
        Ok(vec![pack])
    }

    /// All that lies over each other in the image, the lowest first.
    pub(super) fn all_packs(&self) -> Result<Vec<Pack>, Error> {
        let (task, mut below) = match self.workspace.root() {
            Root::Folder => (self.whole_tree(), Vec::new()),
            Root::Overlay(_) => (self.changes_as_layer(), self.packs.clone()),
        };
        let packs = Packs::of(&self.order.settings.cache)?;
        let uppermost = self.pack(&packs, &task, &below)?;
        self.order.watch.check()?;
        below.push(uppermost);
        Ok(below)
    }

    fn whole_tree(&self) -> Task {
        Task::StreamTree {
            latest: self.order.request.epoch,
            ledger: self.ledger.clone(),
        }
    }

    pub(super) fn changes_as_layer(&self) -> Task {
        Task::StreamChanges {
            // Builds of other times share what a step changed; their images bound the times.
            latest: None,
            ledger: self.ledger.clone(),
        }
    }

    fn recording<'p>(&self, below: &'p [Pack]) -> Recording<'p>
    where
        'a: 'p,
    {
        Recording {
            packing: self.order.request.packing,
            below,
            cancel: &self.order.watch.cancel,
        }
    }

    /// Packs what a task writes.
    pub(super) fn pack(&self, packs: &Packs, task: &Task, below: &[Pack]) -> Result<Pack, Error> {
        let (stream, writer) = io::pipe().map_err(Error::io("creating", "a pipe"))?;
        let streams = Streams {
            input: None,
            output: Output::File(OwnedFd::from(writer)),
        };
        // Files of nothing but holes take no space and have no end.
        let cancel = &self.order.watch.cancel;
        let stream = Cancellable::new(stream, cancel);
        let recording = self.recording(below);
        let (streamed, packed) = thread::scope(|scope| {
            let packing = scope.spawn(move || packs.make(stream, recording));
            (self.workspace.perform(task, streams), packing.join())
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
