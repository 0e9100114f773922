//! What the commands of Singularity 2 write into: an image with an ext3, or a folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::expand::require_ext3;
use super::file_system::Layout;
use super::fill::Content;
use crate::base::{Bootstrapper, copy_folder, unpack_image};
use crate::engine::unfold;
use crate::error::Error;

/// Something that exists and that a tree is read from and written to.
pub(crate) struct Target {
    path: PathBuf,
    file: File,
    kind: Kind,
}

enum Kind {
    Image(Layout),
    Folder,
}

impl Target {
    /// Opens an image or a folder.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => absent(path),
            _ => Error::io("opening", path)(error),
        })?;
        let found = file.metadata().map_err(Error::io("reading", path))?;
        let kind = if found.is_dir() {
            Kind::Folder
        } else {
            Kind::Image(require_ext3(&file, path)?)
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            kind,
        })
    }

    /// Puts what is there already into the tree.
    pub(crate) fn read(&self, bootstrapper: &mut Bootstrapper<'_>) -> Result<(), Error> {
        let name = self.path.display().to_string();
        match self.kind {
            Kind::Image(_) => unpack_image(bootstrapper, (&self.file, &name)).map(drop),
            Kind::Folder if self.is_empty()? => Ok(()),
            Kind::Folder => copy_folder(bootstrapper, (&self.file, &name)),
        }
    }

    fn is_empty(&self) -> Result<bool, Error> {
        let mut entries = fs::read_dir(&self.path).map_err(Error::io("reading", &self.path))?;
        Ok(entries.next().is_none())
    }

    /// Makes the tree its content.
    pub(crate) fn write(&self, content: &Content<'_>) -> Result<(), Error> {
        match self.kind {
            Kind::Image(layout) => content.write_to(&self.path, layout),
            Kind::Folder => unfold(content, &self.path),
        }
    }
}

fn absent(path: &Path) -> Error {
    let path = path.display();
    Error::Base {
        message: format!("{path} is not there"),
        help: Some(format!(
            "make it first: cooperage create {path}, or mkdir for a folder"
        )),
    }
}
