//! Public PGP keys, as Apptainer and Singularity keep them.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::types::KeyDetails;

/// The fingerprint of a PGP key: 40 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 20]);

impl Fingerprint {
    /// Reads the digits, in capitals or not, with or without `0x`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The key that a signature in a SIF names.
    pub(super) fn from_entity(entity: &[u8]) -> Option<Self> {
        Some(Self(entity.get(..20)?.try_into().ok()?))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(self.0))
    }
}

/// Keys of several files.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
    /// The files, for messages.
    pub files: Vec<PathBuf>,
}

impl Keyring {
    /// Reads all keys of the files, armored or not. Missing files are passed over.
    pub fn read(files: &[PathBuf]) -> io::Result<Self> {
        let mut keyring = Self {
            keys: Vec::new(),
            files: files.to_vec(),
        };
        for path in files {
            let file = match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            if file.metadata()?.len() > 0 {
                let file = BufReader::new(file);
                let found = SignedPublicKey::from_reader_many_buf(file);
                let (keys, _) = found.map_err(io::Error::other)?;
                keyring.keys.extend(keys.flatten());
            }
        }
        Ok(keyring)
    }

    /// A key that may be trusted: its parts belong together, and it was not revoked.
    pub(super) fn find(&self, fingerprint: &Fingerprint) -> Option<&SignedPublicKey> {
        self.keys.iter().find(|key| {
            key.primary_key.fingerprint().as_bytes() == fingerprint.0
                && key.details.revocation_signatures.is_empty()
                && key.verify_bindings().is_ok()
        })
    }
}
