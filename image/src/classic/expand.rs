//! `expand`: more room in an image.

use std::fs::File;
use std::path::Path;

use super::create::require_size;
use super::file_system::{Layout, MEBIBYTE};
use super::fill::{self, Work};
use crate::engine::{Cancel, Engine, Event};
use crate::error::Error;
use crate::sandbox::{Namespace, Workspace};

/// How an image grows.
#[derive(Debug, Clone, Copy)]
pub struct Expand {
    /// By how many MiB.
    pub by: u64,
}

impl Engine {
    /// Gives an image of Singularity 2 more room.
    ///
    /// # Security
    /// The image may be a stranger's, so the programs that repair and grow it run in the sandbox,
    /// on a copy.
    pub fn expand(
        &self,
        image: &Path,
        order: Expand,
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let say = |line: &str| events(Event::Info(line));
        let mut file = File::open(image).map_err(Error::io("opening", image))?;
        let layout = require_ext3(&file, image)?;
        let size = layout.size() + order.by;
        require_size(size)?;
        say("Initializing Singularity image subsystem");
        say(&format!("Opening image file: {}", image.display()));
        say(&format!("Expanding image by {}MiB", order.by));
        say("Binding image to loop");
        let namespace = Namespace::new(self.settings.identity)?;
        let workspace = Workspace::create(&self.settings.scratch, &namespace)?;
        let work = Work::begin(&workspace, cancel);
        let mut copy = work.take(&mut file)?;
        say("Checking file system");
        work.check(layout)?;
        say("Resizing file system");
        let layout = Layout {
            length: size * MEBIBYTE,
            ..layout
        };
        copy.set_len(layout.offset + layout.length)
            .map_err(Error::io("growing", image))?;
        work.grow(layout)?;
        // It cuts the file where the file system would end if nothing were before it.
        copy.set_len(layout.offset + layout.length)
            .map_err(Error::io("growing", image))?;
        work.check(layout)?;
        fill::put(&mut copy, image)?;
        say(&format!("Image is done: {}", image.display()));
        Ok(())
    }
}

/// The layout of an image that can be written to.
pub(super) fn require_ext3(file: &File, image: &Path) -> Result<Layout, Error> {
    let found = Layout::find(file).map_err(Error::io("reading", image))?;
    found.ok_or_else(|| Error::Base {
        message: format!("{} is no image that can be written to", image.display()),
        help: Some("cooperage create makes one; it has an ext3 file system".to_owned()),
    })
}
