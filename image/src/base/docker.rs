//! `Bootstrap: docker`: an image of a registry is the base.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#docker-bootstrap-agent>

use std::fs::File;

use secrecy::ExposeSecret;

use super::{Base, Bootstrapper};
use crate::definition::Docker;
use crate::error::Error;
use crate::metadata::BaseKind;
use crate::oci::{self, Accounts, Fetch, FetchedImage, HeaderAccount, Reference};

/// Fetches the image's layers and puts them over each other.
pub(super) fn bootstrap(
    bootstrapper: &mut Bootstrapper<'_>,
    docker: &Docker,
) -> Result<Base, Error> {
    let image = fetch(bootstrapper, docker)?;
    for (index, layer) in image.layers.iter().enumerate() {
        bootstrapper.say(&format!(
            "unpacking layer {} of {}",
            index + 1,
            image.layers.len()
        ));
        let mut file = File::open(&layer.path).map_err(Error::io("opening", &layer.path))?;
        bootstrapper.apply(&mut file, layer.diff_id.clone())?;
    }
    Ok(base(image, docker))
}

/// What an image whose layers are in the tree brings along besides.
pub(crate) fn base(image: FetchedImage, docker: &Docker) -> Base {
    Base {
        kind: BaseKind::Fresh,
        config: Some(image.config),
        include_cmd: docker.include_cmd,
        inherited: None,
        reference: Some((
            format!("docker://{}", image.reference),
            Some(image.manifest_digest),
        )),
    }
}

/// Fetches the image's layers.
pub(crate) fn fetch(
    bootstrapper: &Bootstrapper<'_>,
    docker: &Docker,
) -> Result<FetchedImage, Error> {
    let reference = Reference::from_headers(
        &docker.from,
        docker.registry.as_deref(),
        docker.namespace.as_deref(),
    );
    let reference = reference.map_err(|error| Error::Base {
        message: error.to_string(),
        help: Some("From: is [REGISTRY/][NAMESPACE/]REPOSITORY[:TAG|@sha256:DIGEST]".to_owned()),
    })?;
    bootstrapper.say(&format!("fetching docker://{reference}"));
    let accounts = Accounts {
        given: bootstrapper.request.credentials.clone(),
        header: docker.account.as_ref().map(|account| HeaderAccount {
            username: account.username.expose_secret().to_owned(),
            password: account.password.clone(),
        }),
        files: bootstrapper.request.account_files.clone(),
    };
    let platform = bootstrapper.platform();
    let wanted = Fetch {
        reference: &reference,
        platform: &platform,
        registries: &bootstrapper.settings.registries,
        accounts: &accounts,
        cache: &bootstrapper.settings.cache,
    };
    oci::fetch(&wanted, bootstrapper.events, bootstrapper.cancel)
}
