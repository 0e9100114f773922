//! `OpenPGP`, as much of it as the hub needs: a key that signs, and keys of others that verify.
//!
//! <https://www.rfc-editor.org/rfc/rfc9580.html>; keys are of version 4, which is what clients know.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use cooperage_protocol::Password;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, Deserializable as _, KeyType, SecretKeyParamsBuilder,
    SignedPublicKey, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, KeyVersion, PublicParams, Timestamp};

/// What a signature may be made with: what is weaker, clients refuse too.
const HASHES: [HashAlgorithm; 4] = [
    HashAlgorithm::Sha224,
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha512,
];

/// A key whose secret half is known.
pub(crate) struct SigningKey(SignedSecretKey);

/// A key that somebody else's signatures are verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey(SignedPublicKey);

/// Why a text is no key that can be kept.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NotKey {
    #[error("the text is not an armored public key, as `gpg --armor --export` writes it")]
    Unreadable,
    #[error("the text holds {0} keys: send them one by one")]
    Several(usize),
    #[error("the key is of version {0}, only keys of version 4 can be kept")]
    Version(u8),
    #[error("the key says of nobody whose it is: it needs a user id that it signed itself")]
    Nameless,
    #[error("the key did not sign its own user ids and subkeys, or they were changed")]
    Unbound,
}

impl SigningKey {
    /// Makes a key of today. What it signs is the same whenever it signs the same again.
    pub(crate) fn make(user_id: &str) -> anyhow::Result<Self> {
        let mut wanted = SecretKeyParamsBuilder::default();
        wanted
            .version(KeyVersion::V4)
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(true)
            .primary_user_id(user_id.to_owned());
        let wanted = wanted.build().context("no such key can be made")?;
        Ok(Self(wanted.generate(rand_of_pgp::rngs::OsRng)?))
    }

    /// Reads what [`Self::armored`] gave.
    pub(crate) fn parse(armored: &Password) -> anyhow::Result<Self> {
        let (key, _) = SignedSecretKey::from_string(armored.expose())?;
        Ok(Self(key))
    }

    /// The key with its secret half, as a text.
    pub(crate) fn armored(&self) -> anyhow::Result<Password> {
        let text = self.0.to_armored_string(ArmorOptions::default())?;
        Ok(Password::from(text))
    }

    /// What everybody may know of it.
    pub(crate) fn public(&self) -> PublicKey {
        PublicKey(self.0.to_public_key())
    }

    /// Signs a text as of a time, or as of the nearest one that verifiers believe: the key is not
    /// younger than what it signs, and nothing is signed in the future.
    pub(crate) fn sign(&self, text: &str, time: DateTime<Utc>) -> anyhow::Result<String> {
        let key = &self.0.primary_key;
        let made = SystemTime::from(key.created_at());
        let time = SystemTime::from(time).min(SystemTime::now()).max(made);
        let mut config =
            SignatureConfig::v4(SignatureType::Text, key.algorithm(), HashAlgorithm::Sha256);
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::try_from(
                time,
            )?))?,
            Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
        ];
        let issuer = SubpacketData::IssuerKeyId(key.legacy_key_id());
        config.unhashed_subpackets = vec![Subpacket::regular(issuer)?];
        let unlocked = pgp::types::Password::empty();
        let signed = CleartextSignedMessage::new(text, config, key, &unlocked)?;
        Ok(signed.to_armored_string(ArmorOptions::default())?)
    }
}

impl PublicKey {
    /// Reads a text that holds one key, which signed what it says of itself.
    pub(crate) fn parse(text: &str) -> Result<Self, NotKey> {
        let blocks = text.matches("-----BEGIN PGP PUBLIC KEY BLOCK-----").count();
        if blocks > 1 {
            return Err(NotKey::Several(blocks));
        }
        let (found, _) = SignedPublicKey::from_string_many(text).map_err(|_| NotKey::Unreadable)?;
        let found: Result<Vec<_>, _> = found.collect();
        let mut found = found.map_err(|_| NotKey::Unreadable)?;
        let key = match (found.pop(), found.len()) {
            (Some(key), 0) => key,
            (None, _) => return Err(NotKey::Unreadable),
            (Some(_), others) => return Err(NotKey::Several(others + 1)),
        };
        if key.primary_key.version() != KeyVersion::V4 {
            return Err(NotKey::Version(key.primary_key.version().into()));
        }
        Self(key).keep_what_it_signed()
    }

    /// Leaves out what others signed of it, which anybody may add without end.
    fn keep_what_it_signed(self) -> Result<Self, NotKey> {
        let mut key = self.0;
        let (id, fingerprint) = (
            key.primary_key.legacy_key_id(),
            key.primary_key.fingerprint(),
        );
        let is_own = |signature: &Signature| {
            signature.issuer_key_id().contains(&&id)
                || signature.issuer_fingerprint().contains(&&fingerprint)
        };
        key.details.user_attributes.clear();
        for user in &mut key.details.users {
            user.signatures.retain(is_own);
        }
        key.details.users.retain(|user| !user.signatures.is_empty());
        if key.details.users.is_empty() {
            return Err(NotKey::Nameless);
        }
        key.verify_bindings().map_err(|_| NotKey::Unbound)?;
        Ok(Self(key))
    }

    /// Its fingerprint, in 40 capital digits.
    pub(crate) fn fingerprint(&self) -> String {
        told(&self.0.primary_key.fingerprint())
    }

    /// Its fingerprint and those of its subkeys.
    pub(crate) fn fingerprints(&self) -> Vec<String> {
        let subkeys = self.0.public_subkeys.iter();
        let subkeys = subkeys.map(|subkey| told(&subkey.key.fingerprint()));
        std::iter::once(self.fingerprint()).chain(subkeys).collect()
    }

    /// Whose it says it is.
    pub(crate) fn user_ids(&self) -> Vec<String> {
        let users = self.0.details.users.iter();
        users
            .map(|user| String::from_utf8_lossy(user.id.id()).replace('\0', "\u{fffd}"))
            .collect()
    }

    /// When it was made.
    pub(crate) fn created_at(&self) -> DateTime<Utc> {
        SystemTime::from(self.0.primary_key.created_at()).into()
    }

    /// When it is over, if it says so.
    pub(crate) fn expires_at(&self) -> Option<DateTime<Utc>> {
        let signatures = self
            .0
            .details
            .users
            .iter()
            .flat_map(|user| &user.signatures);
        let newest =
            signatures.max_by_key(|signature| signature.created().map(SystemTime::from))?;
        let lasts = Duration::from(newest.key_expiration_time()?);
        (!lasts.is_zero()).then(|| self.created_at() + lasts)
    }

    /// Whether its owner said that it is good for nothing any more.
    pub(crate) fn is_revoked(&self) -> bool {
        !self.0.details.revocation_signatures.is_empty()
    }

    /// The number of its algorithm, and its length in bits where that tells something.
    pub(crate) fn algorithm(&self) -> (u8, Option<u16>) {
        let key = &self.0.primary_key;
        let bits = match key.public_params() {
            // Its modulus comes first, as a number whose length in bits comes first.
            PublicParams::RSA(params) => match params.to_bytes().as_deref() {
                Ok([high, low, ..]) => Some(u16::from_be_bytes([*high, *low])),
                _ => None,
            },
            PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) => Some(256),
            _ => None,
        };
        (key.algorithm().into(), bits)
    }

    /// The key as a text.
    pub(crate) fn armored(&self) -> anyhow::Result<String> {
        Ok(self.0.to_armored_string(ArmorOptions::default())?)
    }

    /// Whether it signed a message, with itself or with a subkey.
    pub(crate) fn has_signed(&self, message: &str) -> bool {
        let Ok((message, _)) = CleartextSignedMessage::from_string(message) else {
            return false;
        };
        let by_primary = message.verify(&self.0.primary_key).ok();
        let mut subkeys = self.0.public_subkeys.iter();
        let signature =
            by_primary.or_else(|| subkeys.find_map(|subkey| message.verify(&subkey.key).ok()));
        let hash = signature.and_then(Signature::hash_alg);
        hash.is_some_and(|hash| HASHES.contains(&hash))
    }
}

/// The text of a clear-signed message, whoever signed it.
pub(crate) fn signed_text(message: &str) -> Option<String> {
    let (message, _) = CleartextSignedMessage::from_string(message).ok()?;
    Some(message.signed_text())
}

fn told(fingerprint: &pgp::types::Fingerprint) -> String {
    hex::encode_upper(fingerprint.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn what_a_key_signs_is_verified_by_its_public_half_alone_and_only_unchanged() {
        let key = SigningKey::make("Hub <hub@example.org>").unwrap();
        let other = SigningKey::make("Hub <hub@example.org>").unwrap();

        let signed = key.sign(r#"{"version":1}"#, at(0)).unwrap();
        let read = SigningKey::parse(&key.armored().unwrap()).unwrap();
        let again = read.sign(r#"{"version":1}"#, at(1)).unwrap();

        assert_eq!(signed, again);
        assert_eq!(signed_text(&signed).as_deref(), Some(r#"{"version":1}"#));
        assert!(key.public().has_signed(&signed));
        assert!(!other.public().has_signed(&signed));
        assert!(!key.public().has_signed(&signed.replace(":1", ":2")));
        assert_ne!(key.public().fingerprint(), other.public().fingerprint());
    }

    #[test]
    fn a_public_key_is_read_back_as_it_was_written() {
        let key = SigningKey::make("Hub <hub@example.org>").unwrap().public();

        let read = PublicKey::parse(&key.armored().unwrap()).unwrap();

        assert_eq!(read, key);
        assert_eq!(read.user_ids(), ["Hub <hub@example.org>"]);
        assert_eq!(read.fingerprint().len(), 40);
        assert_eq!(read.algorithm(), (22, Some(256)));
        assert_eq!((read.expires_at(), read.is_revoked()), (None, false));
    }

    #[test]
    fn what_is_no_public_key_that_signed_itself_is_refused() {
        let key = SigningKey::make("one").unwrap();
        let (one, two) = (key.public(), SigningKey::make("two").unwrap().public());
        let mut foreign = one.clone();
        foreign.0.details.users.clone_from(&two.0.details.users);
        let mut renamed = one.clone();
        renamed.0.details.users[0].id = two.0.details.users[0].id.clone();
        let [foreign, renamed] = [foreign, renamed].map(|key| key.armored().unwrap());
        let secret = key.armored().unwrap();
        let both = [&one, &two].map(|key| key.armored().unwrap()).concat();

        let table = [
            ("no key", NotKey::Unreadable),
            (secret.expose(), NotKey::Unreadable),
            (&foreign, NotKey::Nameless),
            (&renamed, NotKey::Unbound),
            (&both, NotKey::Several(2)),
        ];
        for (text, expected) in table {
            assert_eq!(PublicKey::parse(text), Err(expected), "{text}");
        }
    }
}
