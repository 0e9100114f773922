//! How are passwords kept that the hub has to know again? Sealed, by a key that is not in the
//! database.
//!
//! The file of keys has one of 64 hex digits on each line. The first one seals; the others only
//! open what they sealed, until it was sealed anew at a start of the hub.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use cooperage_protocol::Password;
use sha2::{Digest as _, Sha256};

use crate::auth;
use crate::config::Config;

const NONCE: usize = 24;

/// The keys of the hub.
pub(crate) struct Keyring {
    keys: Vec<Key>,
    path: PathBuf,
}

struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// A secret as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Which key opens it.
    pub(crate) key_id: String,
    /// A nonce and what it was sealed to.
    pub(crate) bytes: Vec<u8>,
}

impl Keyring {
    /// Reads the keys; makes the first one, readable by the hub's user alone, when there is no
    /// file and none is named in the settings.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Self> {
        let path = match &config.key_file {
            Some(path) => path.clone(),
            None => config.data.join("secret-keys"),
        };
        let text = if config.key_file.is_none() {
            auth::read_or_make_secret(&path)?
        } else {
            std::fs::read_to_string(&path).with_context(|| path.display().to_string())?
        };
        let keys = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = keys.map(|line| read_key(line, &path));
        let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
        if keys.is_empty() {
            bail!("{} has no key: one is 64 hex digits", path.display());
        }
        Ok(Self { keys, path })
    }

    /// Seals a secret. It opens only together with the same `context`.
    pub(crate) fn seal(&self, secret: &Password, context: &str) -> anyhow::Result<Sealed> {
        let key = &self.keys[0];
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload {
            msg: secret.expose().as_bytes(),
            aad: context.as_bytes(),
        };
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| anyhow::anyhow!("a secret cannot be sealed"))?;
        Ok(Sealed {
            key_id: key.id.clone(),
            bytes: [&nonce[..], &sealed].concat(),
        })
    }

    /// Opens what was sealed together with the same `context`.
    pub(crate) fn unseal(&self, sealed: &Sealed, context: &str) -> anyhow::Result<Password> {
        let key = self.keys.iter().find(|key| key.id == sealed.key_id);
        let key = key.with_context(|| {
            let path = self.path.display();
            format!("{path} does not have the key {}", sealed.key_id)
        })?;
        let (nonce, bytes) = sealed
            .bytes
            .split_first_chunk::<NONCE>()
            .context("a sealed secret is cut off")?;
        let payload = Payload {
            msg: bytes,
            aad: context.as_bytes(),
        };
        let opened = key.cipher.decrypt(&XNonce::from(*nonce), payload);
        let opened = opened
            .map_err(|_| anyhow::anyhow!("a sealed secret was changed, or is another row's"))?;
        Ok(Password::from(String::from_utf8(opened)?))
    }

    /// Whether another key seals today.
    pub(crate) fn is_old(&self, sealed: &Sealed) -> bool {
        self.keys[0].id != sealed.key_id
    }
}

/// The id of a key says nothing of it.
fn read_key(line: &str, path: &Path) -> anyhow::Result<Key> {
    let wrong = || format!("{} has a line that is not 64 hex digits", path.display());
    let bytes = hex::decode(line).ok().with_context(wrong)?;
    let cipher = XChaCha20Poly1305::new_from_slice(&bytes)
        .ok()
        .with_context(wrong)?;
    let id = hex::encode(&Sha256::digest(&bytes)[..6]);
    Ok(Key { id, cipher })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(lines: &str) -> Keyring {
        let path = PathBuf::from("keys");
        let keys = lines.lines().map(|line| read_key(line, &path).unwrap());
        Keyring {
            keys: keys.collect(),
            path,
        }
    }

    #[test]
    fn a_secret_opens_with_its_key_and_its_context_alone() {
        let (old, new) = ("a1".repeat(32), "b2".repeat(32));
        let before = keyring(&old);
        let secret = Password::from("s3cret".to_owned());
        let sealed = before.seal(&secret, "row 1").unwrap();

        let rotated = keyring(&format!("{new}\n{old}"));

        let opened = rotated.unseal(&sealed, "row 1").unwrap();
        assert_eq!(opened.expose(), "s3cret");
        assert!(rotated.is_old(&sealed) && !before.is_old(&sealed));
        assert!(rotated.unseal(&sealed, "row 2").is_err());
        assert!(keyring(&new).unseal(&sealed, "row 1").is_err());
        let mut changed = sealed.clone();
        changed.bytes[30] ^= 1;
        assert!(rotated.unseal(&changed, "row 1").is_err());
        changed.bytes.truncate(10);
        assert!(rotated.unseal(&changed, "row 1").is_err());
        assert!(!String::from_utf8_lossy(&sealed.bytes).contains("s3cret"));
        assert_ne!(sealed.bytes, before.seal(&secret, "row 1").unwrap().bytes);
    }

    #[test]
    fn a_line_that_is_no_key_is_refused() {
        for line in ["", "zz", &"a1".repeat(31)] {
            assert!(read_key(line, Path::new("keys")).is_err(), "{line}");
        }
    }
}
