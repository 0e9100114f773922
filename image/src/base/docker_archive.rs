//! `Bootstrap: docker-archive`: an image that `docker save` wrote is the base.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#docker-archive-bootstrap-agent>

use super::stored::{self, NamedFile};
use super::{Base, Bootstrapper};
use crate::definition::StoredImage;
use crate::error::Error;
use crate::oci::{Store, open_layout, open_saved};

/// Reads the image in the archive and puts its layers over each other.
pub(super) fn bootstrap(
    bootstrapper: &mut Bootstrapper<'_>,
    image: &StoredImage,
) -> Result<Base, Error> {
    let NamedFile { path, file, which } = stored::named_file(bootstrapper, &image.from)?;
    let archive = stored::archive(bootstrapper, file, &path)?;
    // Docker writes both forms into one archive since version 25.
    let found = if archive.has("oci-layout") && archive.has("index.json") {
        let platform = bootstrapper.platform();
        open_layout(&Store::Archive(&archive), &path, &which, &platform)?
    } else {
        open_saved(&archive, &path, &which)?
    };
    let name = format!("docker-archive:{}", image.from);
    stored::unpack(bootstrapper, found, &name, image.include_cmd)
}
