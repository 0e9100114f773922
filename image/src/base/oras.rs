//! `Bootstrap: oras`: a SIF image of a registry is the base.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#oras-bootstrap-agent>

use std::fs::File;

use super::docker::{accounts, reference};
use super::localimage::{image_base, unpack};
use super::{Base, Bootstrapper, Downloads, signed};
use crate::definition::Oras;
use crate::error::Error;
use crate::oci::{self, FetchedSif};

/// Fetches the image and unpacks its root file system.
pub(super) fn bootstrap(bootstrapper: &mut Bootstrapper<'_>, oras: &Oras) -> Result<Base, Error> {
    let image = download(bootstrapper.downloads(), oras)?;
    let name = format!("oras://{}", image.reference);
    let file = File::open(&image.path).map_err(Error::io("opening", &image.path))?;
    signed::require(bootstrapper, (&file, &name), &oras.fingerprints)?;
    bootstrapper.say(&format!("unpacking {name}"));
    let config = unpack(bootstrapper, (&file, &name))?;
    Ok(Base {
        reference: Some((name, Some(image.manifest_digest))),
        ..image_base(config)
    })
}

/// Fetches the image to the cache, unless it is there.
pub(crate) fn download(downloads: Downloads<'_>, oras: &Oras) -> Result<FetchedSif, Error> {
    let reference = reference(&oras.from, None, None)?;
    downloads.say(&format!("fetching oras://{reference}"));
    let accounts = accounts(downloads.request, oras.account.as_ref());
    downloads.of_registry(&reference, &accounts, |wanted| {
        oci::fetch_sif(wanted, downloads.events, downloads.cancel)
    })
}

/// The digest of the manifest that the registry has now.
pub(crate) fn state(downloads: Downloads<'_>, oras: &Oras) -> Result<String, Error> {
    let reference = reference(&oras.from, None, None)?;
    let accounts = accounts(downloads.request, oras.account.as_ref());
    downloads.state_in_registry(&reference, &accounts)
}
