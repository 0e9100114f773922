//! `OpenPGP`, as much of it as the hub needs: a key that signs, and keys of others that verify.
//!
//! <https://www.rfc-editor.org/rfc/rfc9580.html>; keys are of version 4, which is what clients know.

mod together;
mod worth;

use std::time::SystemTime;

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

pub(crate) use self::worth::{Lapse, Made};

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
        PublicKey(together::plain(self.0.to_public_key()))
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

    /// Leaves out what others signed of it, and what nobody signed: anybody may add that without end.
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
        key.details.direct_signatures.retain(is_own);
        for user in &mut key.details.users {
            user.signatures.retain(is_own);
        }
        key.details.users.retain(|user| !user.signatures.is_empty());
        if key.details.users.is_empty() {
            return Err(NotKey::Nameless);
        }
        let key = together::plain(key);
        key.verify_bindings().map_err(|_| NotKey::Unbound)?;
        Ok(Self(key))
    }

    /// What this copy of a key and another one say together: nothing that its owner said is lost.
    pub(crate) fn with(self, other: Self) -> Self {
        Self(together::together(self.0, other.0))
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

    /// Whose it says it is. What its owner took back counts no more, unless they took back all.
    pub(crate) fn user_ids(&self) -> Vec<String> {
        let users = &self.0.details.users;
        let has_any = users.iter().any(|user| worth::taken_back(user).is_none());
        let users = users.iter();
        users
            .filter(|user| !has_any || worth::taken_back(user).is_none())
            .map(|user| String::from_utf8_lossy(user.id.id()).replace('\0', "\u{fffd}"))
            .collect()
    }

    /// When it was made.
    pub(crate) fn created_at(&self) -> DateTime<Utc> {
        SystemTime::from(self.0.primary_key.created_at()).into()
    }

    /// When it is over, if it says so.
    pub(crate) fn expires_at(&self) -> Option<DateTime<Utc>> {
        worth::end(&self.0)
    }

    /// Why it counts no more, or not yet.
    pub(crate) fn lapse(&self, now: DateTime<Utc>) -> Option<Lapse> {
        worth::lapse(&self.0, now)
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

    /// How it signed a message, with itself or with a subkey; nothing if it did not.
    pub(crate) fn made(&self, message: &str, now: DateTime<Utc>) -> Option<Made> {
        worth::made(&self.0, message, now)
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
pub(crate) mod tests;
