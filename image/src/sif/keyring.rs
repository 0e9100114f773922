//! Public PGP keys, as Apptainer and Singularity keep them.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::packet;
use pgp::types::KeyDetails;

use super::key::PublicKey;

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

    /// Whether it is the key's: the whole of it, which no two keys share.
    pub(super) fn is_of(&self, key: &packet::PublicKey) -> bool {
        key.fingerprint().as_bytes() == self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(self.0))
    }
}

/// Keys of several files, or of a text.
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
                keyring.add(BufReader::new(file))?;
            }
        }
        Ok(keyring)
    }

    /// Reads all keys of a text, armored or not.
    pub fn parse(text: &[u8]) -> io::Result<Self> {
        let mut keyring = Self::default();
        keyring.add(text)?;
        Ok(keyring)
    }

    fn add(&mut self, keys: impl BufRead) -> io::Result<()> {
        let found = SignedPublicKey::from_reader_many_buf(keys);
        let (keys, _) = found.map_err(io::Error::other)?;
        self.keys.extend(keys.flatten());
        Ok(())
    }

    /// The key of this fingerprint, if it signed what it is for. It may be revoked or expired.
    pub fn find(&self, fingerprint: &Fingerprint) -> Option<PublicKey> {
        let mut keys = self.keys.iter();
        let key = keys.find(|key| fingerprint.is_of(&key.primary_key))?;
        PublicKey::new(key.clone())
    }
}
