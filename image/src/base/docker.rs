//! `Bootstrap: docker`: an image of a registry is the base.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#docker-bootstrap-agent>

use std::fs::File;

use secrecy::ExposeSecret;

use super::{Base, Bootstrapper, Downloads};
use crate::definition::{Account, Docker};
use crate::engine::Request;
use crate::error::Error;
use crate::metadata::BaseKind;
use crate::oci::{self, Accounts, Fetch, FetchedImage, HeaderAccount, LayerBlob, Reference};

/// Fetches the image's layers and puts them over each other.
pub(super) fn bootstrap(
    bootstrapper: &mut Bootstrapper<'_>,
    docker: &Docker,
) -> Result<Base, Error> {
    let image = fetch(bootstrapper, docker)?;
    let key = image.layers.iter().fold(
        bootstrapper.key("layers"),
        |key,
         LayerBlob {
             digest, diff_id, ..
         }| { key.and(digest).and(diff_id.as_deref().unwrap_or_default()) },
    );
    bootstrapper.keep(Some(key.end()), &mut |bootstrapper| {
        unpack(bootstrapper, &image.layers)
    })?;
    Ok(base(image, docker))
}

fn unpack(bootstrapper: &mut Bootstrapper<'_>, layers: &[LayerBlob]) -> Result<(), Error> {
    let count = layers.len();
    for (index, layer) in layers.iter().enumerate() {
        bootstrapper.say(&format!("unpacking layer {} of {count}", index + 1));
        let mut file = File::open(&layer.path).map_err(Error::io("opening", &layer.path))?;
        bootstrapper.apply(&mut file, layer.diff_id.clone())?;
    }
    Ok(())
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
    let reference = reference(
        &docker.from,
        docker.registry.as_deref(),
        docker.namespace.as_deref(),
    )?;
    bootstrapper.say(&format!("fetching docker://{reference}"));
    let accounts = accounts(bootstrapper.request, docker.account.as_ref());
    let platform = bootstrapper.platform();
    let wanted = Fetch {
        reference: &reference,
        platform: &platform,
        registries: &bootstrapper.settings.registries,
        accounts: &accounts,
        cache: &bootstrapper.settings.cache,
        most_bytes: bootstrapper.request.limits.disk,
    };
    oci::fetch(&wanted, bootstrapper.events, bootstrapper.cancel)
}

/// The digest of the manifest that the registry has now.
pub(crate) fn state(downloads: Downloads<'_>, docker: &Docker) -> Result<String, Error> {
    let (registry, namespace) = (docker.registry.as_deref(), docker.namespace.as_deref());
    let reference = reference(&docker.from, registry, namespace)?;
    let accounts = accounts(downloads.request, docker.account.as_ref());
    downloads.state_in_registry(&reference, &accounts)
}

/// What `From` with the headers beside it names.
pub(super) fn reference(
    from: &str,
    registry: Option<&str>,
    namespace: Option<&str>,
) -> Result<Reference, Error> {
    Reference::from_headers(from, registry, namespace).map_err(|error| Error::Base {
        message: error.to_string(),
        help: Some("From: is [REGISTRY/][NAMESPACE/]REPOSITORY[:TAG|@sha256:DIGEST]".to_owned()),
    })
}

/// All accounts that a build may use, with the one in its header.
pub(super) fn accounts(request: &Request, header: Option<&Account>) -> Accounts {
    Accounts {
        given: request.credentials.clone(),
        header: header.map(|account| HeaderAccount {
            username: account.username.expose_secret().to_owned(),
            password: account.password.clone(),
        }),
        files: request.account_files.clone(),
    }
}
