//! `Bootstrap: oras`: a SIF image of a registry is the base.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#oras-bootstrap-agent>

use std::fs::File;

use super::docker::{accounts, reference};
use super::localimage::{image_base, unpack};
use super::{Base, Bootstrapper};
use crate::definition::Oras;
use crate::error::Error;
use crate::oci::{self, Fetch};

/// Fetches the image and unpacks its root file system.
pub(super) fn bootstrap(bootstrapper: &mut Bootstrapper<'_>, oras: &Oras) -> Result<Base, Error> {
    if !oras.fingerprints.is_empty() {
        return Err(Error::Base {
            message: "`Fingerprints` of an `oras` base cannot be verified".to_owned(),
            help: Some("name the image by its digest (@sha256:…) instead".to_owned()),
        });
    }
    let reference = reference(&oras.from, None, None)?;
    let name = format!("oras://{reference}");
    bootstrapper.say(&format!("fetching {name}"));
    let image = {
        let (platform, accounts) = (
            bootstrapper.platform(),
            accounts(bootstrapper, oras.account.as_ref()),
        );
        let wanted = Fetch {
            reference: &reference,
            platform: &platform,
            registries: &bootstrapper.settings.registries,
            accounts: &accounts,
            cache: &bootstrapper.settings.cache,
        };
        oci::fetch_sif(&wanted, bootstrapper.events, bootstrapper.cancel)?
    };
    let file = File::open(&image.path).map_err(Error::io("opening", &image.path))?;
    bootstrapper.say(&format!("unpacking {name}"));
    let config = unpack(bootstrapper, (&file, &name))?;
    Ok(Base {
        reference: Some((name, Some(image.manifest_digest))),
        ..image_base(config)
    })
}
