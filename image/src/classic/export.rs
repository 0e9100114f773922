//! `export`: the root file system of an image as a tar archive.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::base;
use crate::engine::{Cancel, Engine, Limits};
use crate::error::Error;
use crate::sandbox::Namespace;
use crate::squashfs::Bounds;

impl Engine {
    /// Writes the root file system of an image of any kind, owners included.
    pub fn export(
        &self,
        image: &Path,
        out: &mut (dyn Write + Send),
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let name = image.display().to_string();
        let file = File::open(image).map_err(Error::io("opening", image))?;
        let namespace = Namespace::new(self.settings.identity)?;
        let mut take = |archive: &mut (dyn io::Read + Send)| {
            let copied = io::copy(archive, out);
            copied
                .map(drop)
                .map_err(Error::io("writing", "the archive"))
        };
        if file.metadata().is_ok_and(|found| found.is_dir()) {
            return base::read_folder(&namespace, (&file, &name), cancel, take);
        }
        let bounds = Bounds {
            limits: Limits::default(),
            cancel,
        };
        base::read_tree((&file, &name), bounds, &mut take).map(drop)
    }
}
