//! `Fingerprints`: who must have signed an image before it is built on.

use std::fs::File;

use super::Bootstrapper;
use crate::error::Error;
use crate::sif::{self, Fingerprint, Keyring};

/// Makes sure that all of the keys signed the image, a file and its name. No keys, no question.
pub(super) fn require(
    bootstrapper: &Bootstrapper<'_>,
    (file, name): (&File, &str),
    fingerprints: &[String],
) -> Result<(), Error> {
    if fingerprints.is_empty() {
        return Ok(());
    }
    let signers: Vec<Fingerprint> = fingerprints
        .iter()
        .map(|text| Fingerprint::parse(text).ok_or_else(|| not_a_fingerprint(text)))
        .collect::<Result<_, _>>()?;
    let files = &bootstrapper.settings.sources.keyrings;
    let keyring = Keyring::read(files).map_err(|error| Error::Machine {
        message: format!("keys cannot be read: {error}"),
        help: None,
    })?;
    let copy = file.try_clone().map_err(Error::io("opening", name))?;
    let sif = sif::from_file(copy).map_err(|_| Error::Base {
        message: format!("{name} cannot be signed, as Fingerprints wants it: it is no SIF"),
        help: Some("leave out Fingerprints, or build on a SIF".to_owned()),
    })?;
    sif::require_signatures(&sif, &signers, &keyring).map_err(|error| Error::Base {
        message: format!("{name} is not signed as Fingerprints wants it: {error}"),
        help: Some(help(&error, &keyring)),
    })?;
    bootstrapper.say(&format!("{name} is signed by {}", fingerprints.join(", ")));
    Ok(())
}

/// Nothing but an image that everybody named has signed is a base.
pub(super) fn refuse_folder(name: &str, fingerprints: &[String]) -> Result<(), Error> {
    if fingerprints.is_empty() {
        return Ok(());
    }
    Err(Error::Base {
        message: format!("{name} cannot be signed, as Fingerprints wants it: it is a folder"),
        help: Some("leave out Fingerprints, or build on a SIF".to_owned()),
    })
}

fn help(error: &sif::Unverified, keyring: &Keyring) -> String {
    match error {
        sif::Unverified::NoKey(key) => {
            let files = keyring.files.iter().map(|file| file.display().to_string());
            let files: Vec<String> = files.collect();
            format!(
                "get it with `apptainer key pull {key}`; keyrings are {}",
                if files.is_empty() {
                    "not set".to_owned()
                } else {
                    files.join(", ")
                }
            )
        }
        _ => "ask who made the image for one that they signed".to_owned(),
    }
}

fn not_a_fingerprint(text: &str) -> Error {
    Error::Base {
        message: format!("Fingerprints has {text:?}, which is not the fingerprint of a PGP key"),
        help: Some("a fingerprint has 40 hexadecimal digits".to_owned()),
    }
}
