//! `Bootstrap: oci` and `oci-archive`: an image in the OCI image layout is the base.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#oci-bootstrap-agent>

use super::stored::{self, NamedFile};
use super::{Base, Bootstrapper};
use crate::definition::StoredImage;
use crate::error::Error;
use crate::files::{self, Found};
use crate::oci::{Store, open_layout};

/// Puts the layers of an image in a folder over each other.
pub(super) fn from_folder(
    bootstrapper: &mut Bootstrapper<'_>,
    image: &StoredImage,
) -> Result<Base, Error> {
    let context = &bootstrapper.request.context;
    let (path, which) = stored::split(context, &image.from)?;
    if let Found::File(_) = files::find(context, &path)? {
        return Err(Error::Base {
            message: format!("{path} is a file, and `oci` reads a folder"),
            help: Some("write `Bootstrap: oci-archive`".to_owned()),
        });
    }
    let store = Store::Folder {
        context,
        path: &path,
    };
    let found = open_layout(&store, &path, &which, &bootstrapper.platform())?;
    let name = format!("oci:{}", image.from);
    stored::unpack(bootstrapper, found, &name, image.include_cmd)
}

/// Puts the layers of an image in an archive over each other.
pub(super) fn from_archive(
    bootstrapper: &mut Bootstrapper<'_>,
    image: &StoredImage,
) -> Result<Base, Error> {
    let NamedFile { path, file, which } = stored::named_file(bootstrapper, &image.from)?;
    let archive = stored::archive(bootstrapper, file, &path)?;
    if !archive.has("index.json") {
        return Err(Error::Base {
            message: format!("{path} is no OCI archive: it has no index.json"),
            help: Some("for what `docker save` writes, use `Bootstrap: docker-archive`".to_owned()),
        });
    }
    let platform = bootstrapper.platform();
    let found = open_layout(&Store::Archive(&archive), &path, &which, &platform)?;
    let name = format!("oci-archive:{}", image.from);
    stored::unpack(bootstrapper, found, &name, image.include_cmd)
}
