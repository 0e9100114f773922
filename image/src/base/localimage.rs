//! `Bootstrap: localimage`: an image file or a folder of the context is the base.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#localimage-bootstrap-agent>

use std::fs::File;

use super::{Base, Bootstrapper, folder, image_file, signed};
use crate::definition::LocalImage;
use crate::error::Error;
use crate::files::{self, Found};
use crate::metadata::{BaseKind, OciConfig};

/// Unpacks the image's root file system, or copies the folder's.
pub(super) fn bootstrap(
    bootstrapper: &mut Bootstrapper<'_>,
    image: &LocalImage,
) -> Result<Base, Error> {
    let from = image.from.as_str();
    let config = match files::find(&bootstrapper.request.context, from)? {
        Found::File(file) => {
            signed::require(bootstrapper, (&file, from), &image.fingerprints)?;
            bootstrapper.say(&format!("unpacking {from}"));
            unpack(bootstrapper, (&file, from))?
        }
        Found::Folder(folder) => {
            signed::refuse_folder(from, &image.fingerprints)?;
            bootstrapper.say(&format!("copying {from}"));
            copy(bootstrapper, (&folder, from))?;
            None
        }
    };
    Ok(Base {
        reference: Some((format!("localimage:{from}"), None)),
        ..image_base(config)
    })
}

/// Puts the root file system of an image, a file and its name, into the tree.
pub(crate) fn unpack(
    bootstrapper: &mut Bootstrapper<'_>,
    (file, name): (&File, &str),
) -> Result<Option<OciConfig>, Error> {
    let (tree, config) = image_file::find_tree(file, name)?;
    let state = image_file::state(file).map_err(Error::io("reading", name))?;
    let key = bootstrapper.key("image").and(&state).end();
    let kept = bootstrapper.keep_image((file, &tree), key);
    kept.map_err(|error| in_image(error, name))?;
    Ok(config)
}

/// Tells which image cannot be used.
fn in_image(error: Error, name: &str) -> Error {
    match error {
        Error::Base { message, help } => Error::Base {
            message: format!("{name}: {message}"),
            help,
        },
        error => error,
    }
}

/// Puts the root file system of a folder, and its name, into the tree.
pub(crate) fn copy(
    bootstrapper: &mut Bootstrapper<'_>,
    (folder, name): (&File, &str),
) -> Result<(), Error> {
    let namespace = bootstrapper.workspace.namespace();
    let cancel = bootstrapper.cancel;
    folder::read_as_tar(namespace, (folder, name), cancel, |archive| {
        bootstrapper.apply(archive, None)
    })
}

/// What every image that was made from a definition brings along.
pub(crate) fn image_base(inherited: Option<OciConfig>) -> Base {
    Base {
        kind: BaseKind::LocalImage,
        inherited,
        ..Base::default()
    }
}
