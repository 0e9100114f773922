//! `Fingerprints`: who must have signed an image before it is built on.

use std::fs::File;

use chrono::Utc;

use super::{Bootstrapper, keyserver};
use crate::error::Error;
use crate::sif::{self, Fingerprint, Keyring, PublicKey, Signatures, Unverified};

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
    for signer in signers {
        let signatures = Signatures::of(&sif, signer).map_err(|error| unsigned(name, &error))?;
        let key = find_key(bootstrapper, &keyring, &signer)?;
        let verified = signatures.verify(&key, Utc::now());
        verified.map_err(|error| unsigned(name, &error))?;
    }
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

/// Keys of this machine come first: what its user put there is what they trust.
fn find_key(
    bootstrapper: &Bootstrapper<'_>,
    keyring: &Keyring,
    signer: &Fingerprint,
) -> Result<PublicKey, Error> {
    if let Some(key) = keyring.find(signer) {
        return Ok(key);
    }
    let found = keyserver::find(bootstrapper.downloads(), signer);
    let missing = format!("the key {signer} of Fingerprints is in none of the keyrings");
    if let Some(key) = found.map_err(|error| unasked(&missing, error))? {
        return Ok(key);
    }
    let files = keyring.files.iter().map(|file| file.display().to_string());
    let servers = bootstrapper.settings.sources.keyservers.iter().cloned();
    let asked: Vec<String> = files.chain(servers).collect();
    Err(Error::Base {
        message: format!("{missing}, and no keyserver has it"),
        help: Some(format!(
            "ask its owner for it and import it with `apptainer key import`; looked at: {}",
            asked.join(", ")
        )),
    })
}

/// What kept a keyserver from sending a key, after why it was asked.
fn unasked(missing: &str, error: Error) -> Error {
    match error {
        Error::Network { message, source } => Error::Network {
            message: format!("{missing}, and {message}"),
            source,
        },
        Error::Base { message, help } => Error::Base {
            message: format!("{missing}, and {message}"),
            help,
        },
        other => other,
    }
}

fn unsigned(name: &str, error: &Unverified) -> Error {
    let help = match error {
        Unverified::Old(_) => "sign it again with `apptainer sign`",
        Unverified::Key(..) | Unverified::Signature(..) => {
            "get the key again if its owner renewed it (`apptainer key pull`), or ask for an image \
             that is signed with a key that counts"
        }
        _ => "ask who made the image for one that they signed",
    };
    Error::Base {
        message: format!("{name} is not signed as Fingerprints wants it: {error}"),
        help: Some(help.to_owned()),
    }
}

fn not_a_fingerprint(text: &str) -> Error {
    Error::Base {
        message: format!("Fingerprints has {text:?}, which is not the fingerprint of a PGP key"),
        help: Some("a fingerprint has 40 hexadecimal digits".to_owned()),
    }
}
