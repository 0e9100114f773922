//! Where an image's files are had from.

use std::path::PathBuf;

use super::image::{Form, Image};
use super::trees;
use crate::error::Error;
use crate::sandbox::container::{self, Files as Mounted};

/// Programs that mount a squashfs, the better ones first.
const MOUNTING: [&str; 2] = ["squashfuse_ll", "squashfuse"];

/// How an image's files may be had.
#[derive(Debug, Clone)]
pub struct Ways {
    /// The folder of the cache.
    pub cache: PathBuf,
    /// Where programs of the machine are looked for.
    pub programs: Vec<PathBuf>,
    /// Whether it is unpacked also where it could be mounted.
    pub unpack: bool,
}

/// Where an image's files are.
#[derive(Debug)]
pub struct Files(pub(super) Mounted);

impl Files {
    /// Where they can be had at once; nothing if the image has to be unpacked first. The calling
    /// process must have one thread.
    pub fn of(image: &Image, ways: &Ways, warn: &dyn Fn(&str)) -> Result<Option<Self>, Error> {
        if image.form == Form::Folder {
            return Ok(Some(Self(Mounted::Folder(image.path.clone()))));
        }
        if let Some(tree) = trees::find(image, &ways.cache)? {
            return Ok(Some(Self(Mounted::Folder(tree))));
        }
        match image.form {
            Form::Squashfs { offset } if !ways.unpack && container::fuse_can_be_used() => {
                Ok(Self::mounted(image, offset, ways, warn))
            }
            _ => Ok(None),
        }
    }

    /// In a tree that [`unpack`](super::unpack) made.
    pub fn in_tree(tree: PathBuf) -> Result<Self, Error> {
        if trees::hold(&tree)? {
            return Ok(Self(Mounted::Folder(tree)));
        }
        Err(Error::Base {
            message: format!("{} was removed meanwhile", tree.display()),
            help: Some("start it again when nobody cleans the cache".to_owned()),
        })
    }

    fn mounted(image: &Image, offset: u64, ways: &Ways, warn: &dyn Fn(&str)) -> Option<Self> {
        for program in ways.mounting() {
            match container::mount_squashfs(&program, &image.path, offset) {
                Ok(mounted) => return Some(Self(Mounted::Squashfs(mounted))),
                Err(failure) => warn(&Error::from(failure).to_string()),
            }
        }
        None
    }
}

impl Ways {
    fn mounting(&self) -> Vec<PathBuf> {
        let paths = MOUNTING.iter().filter_map(|name| {
            let mut paths = self.programs.iter().map(|folder| folder.join(name));
            paths.find(|path| path.is_file())
        });
        paths.collect()
    }
}
