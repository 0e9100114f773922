//! What a public PGP key is worth, and what it signed.
//!
//! A key is judged by today, as Apptainer judges it: when a signature was made says the signer alone,
//! and whoever found an expired or revoked key may say any time.

use std::fmt;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use pgp::composed::{CleartextSignedMessage, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::{Duration, KeyDetails, SignedUser, Tag, Timestamp};

use super::keyring::Fingerprint;

const HASHES: [HashAlgorithm; 4] = [
    HashAlgorithm::Sha224,
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha512,
];

/// A public key, and of what is said of it, what it says itself.
#[derive(Debug)]
pub struct PublicKey(SignedPublicKey);

/// Why a key or a signature counts no more, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// Its owner revoked it.
    Revoked,
    /// Its time is over.
    Expired(DateTime<Utc>),
    /// It says that it is of a time to come.
    Early(DateTime<Utc>),
}

impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked => f.write_str("was revoked"),
            Self::Expired(end) => write!(f, "expired on {}", end.format("%Y-%m-%d at %H:%M UTC")),
            Self::Early(made) => write!(
                f,
                "says that it was made on {}, which is in the future",
                made.format("%Y-%m-%d at %H:%M UTC")
            ),
        }
    }
}

/// What a key has to do with a message.
pub(super) enum Signed {
    /// It signed this text, and its signature counts.
    Text(String),
    /// It signed, and it or its signature counts no more.
    Lapsed(Lapse),
    /// It did not sign.
    Not,
}

impl PublicKey {
    /// Leaves out of a key what it did not sign itself; nothing if nothing is left that tells what it
    /// is for, and how long.
    pub(super) fn new(mut key: SignedPublicKey) -> Option<Self> {
        let primary = &key.primary_key;
        let details = &mut key.details;
        details.user_attributes.clear();
        let direct = &mut details.direct_signatures;
        direct.retain(|signature| signature.verify_key(primary).is_ok());
        for user in &mut details.users {
            let is_own = |signature: &Signature| {
                let verified = signature.verify_certification(primary, Tag::UserId, &user.id);
                verified.is_ok()
            };
            user.signatures.retain(is_own);
        }
        details.users.retain(|user| !user.signatures.is_empty());
        for subkey in &mut key.public_subkeys {
            let bound = &subkey.key;
            subkey.signatures.retain(|signature| {
                let one = SignedPublicSubKey::new(bound.clone(), vec![signature.clone()]);
                one.verify_bindings(primary).is_ok()
            });
        }
        let key = Self(key);
        key.statement().is_some().then_some(key)
    }

    /// Whether it is the key of this fingerprint.
    pub(crate) fn has(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.is_of(&self.0.primary_key)
    }

    /// Why the key counts no more.
    pub(super) fn lapse(&self, now: DateTime<Utc>) -> Option<Lapse> {
        // Whoever may have revoked it: a stranger's revocation does less harm than none.
        let is_revoked = !self.0.details.revocation_signatures.is_empty();
        let users = &self.0.details.users;
        if is_revoked || (!users.is_empty() && users.iter().all(is_taken_back)) {
            return Some(Lapse::Revoked);
        }
        let lasts = self.statement()?.key_expiration_time();
        lapse_of(self.0.primary_key.created_at(), lasts, now)
    }

    /// Reads a clear-signed message.
    pub(super) fn signed(&self, message: &CleartextSignedMessage, now: DateTime<Utc>) -> Signed {
        let Some((signature, lapse)) = self.signature(message, now) else {
            return Signed::Not;
        };
        let has_good_hash = signature
            .hash_alg()
            .is_some_and(|hash| HASHES.contains(&hash));
        let made = signature.created().filter(|_| has_good_hash);
        let Some(made) = made else {
            return Signed::Not;
        };
        let lapse = lapse.or_else(|| lapse_of(made, signature.signature_expiration_time(), now));
        lapse.map_or_else(|| Signed::Text(message.signed_text()), Signed::Lapsed)
    }

    /// The signature of the key or of a subkey that may sign, and why that counts no more.
    fn signature<'m>(
        &self,
        message: &'m CleartextSignedMessage,
        now: DateTime<Utc>,
    ) -> Option<(&'m Signature, Option<Lapse>)> {
        let may_sign = self.statement().is_some_and(may_sign);
        let by_primary = message.verify(&self.0.primary_key).ok();
        if let Some(signature) = by_primary.filter(|_| may_sign) {
            return Some((signature, None));
        }
        self.0.public_subkeys.iter().find_map(|subkey| {
            let binding = newest(&subkey.signatures, SignatureType::SubkeyBinding)?;
            // What does not sign need not show that it wants to be a subkey of this key.
            let signature = message.verify(&subkey.key).ok();
            let signature = signature.filter(|_| binding.key_flags().sign())?;
            let lapse = if subkey.signatures.iter().any(is_revocation) {
                Some(Lapse::Revoked)
            } else {
                lapse_of(subkey.key.created_at(), binding.key_expiration_time(), now)
            };
            Some((signature, lapse))
        })
    }

    /// What the key says of itself: with its main user id, or without one.
    fn statement(&self) -> Option<&Signature> {
        let details = &self.0.details;
        let statements = details.users.iter().filter_map(|user| {
            let signature = of_user(user)?;
            let is_main = signature.is_primary();
            Some(((!is_taken_back(user), is_main, time(signature)), signature))
        });
        let main = statements.max_by_key(|(rank, _)| *rank);
        main.map(|(_, signature)| signature)
            .or_else(|| newest(&details.direct_signatures, SignatureType::Key))
    }
}

/// Why what was made at a time, and lasts so long, does not count now.
fn lapse_of(made: Timestamp, lasts: Option<Duration>, now: DateTime<Utc>) -> Option<Lapse> {
    let made = DateTime::<Utc>::from(SystemTime::from(made));
    if made > now {
        return Some(Lapse::Early(made));
    }
    let lasts = std::time::Duration::from(lasts?);
    let end = made + lasts;
    (!lasts.is_zero() && end < now).then_some(Lapse::Expired(end))
}

/// The newest certification of a user id, which says what holds of the key.
fn of_user(user: &SignedUser) -> Option<&Signature> {
    let said = user.signatures.iter();
    said.filter(|signature| !is_revocation(signature))
        .max_by_key(|signature| time(signature))
}

fn is_taken_back(user: &SignedUser) -> bool {
    user.signatures.iter().any(is_revocation)
}

fn newest(signatures: &[Signature], typ: SignatureType) -> Option<&Signature> {
    let found = signatures.iter();
    found
        .filter(|signature| signature.typ() == Some(typ))
        .max_by_key(|signature| time(signature))
}

fn is_revocation(signature: &Signature) -> bool {
    matches!(
        signature.typ(),
        Some(SignatureType::CertRevocation | SignatureType::SubkeyRevocation)
    )
}

fn time(signature: &Signature) -> Option<u32> {
    signature.created().map(Timestamp::as_secs)
}

/// A key that does not say what it is for is for everything.
fn may_sign(statement: &Signature) -> bool {
    let said = statement.config().map(|config| &config.hashed_subpackets);
    let mut said = said.into_iter().flatten();
    let says = said.any(|packet| matches!(packet.data, SubpacketData::KeyFlags(_)));
    !says || statement.key_flags().sign()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sif::Keyring;
    use crate::sif::test_keys::Signer;

    #[test]
    fn what_others_say_of_a_key_is_left_out() {
        let (ada, eve) = (Signer::new(), Signer::new().lasting(1));
        let mut key = ada.public();
        let eves = eve.public().details.users[0].signatures.clone();
        key.details.users[0].signatures.extend(eves);

        let read = PublicKey::new(key).unwrap();

        assert_eq!(read.0.details.users[0].signatures.len(), 1);
        assert_eq!(read.lapse(Utc::now()), None);
    }

    #[test]
    fn a_key_that_signed_nothing_of_itself_is_none() {
        let (ada, eve) = (Signer::new(), Signer::new());
        let mut nameless = ada.public();
        nameless.details.users.clear();
        let mut renamed = ada.public();
        renamed
            .details
            .users
            .clone_from(&eve.public().details.users);

        assert!(PublicKey::new(nameless).is_none());
        assert!(PublicKey::new(renamed).is_none());
    }

    #[test]
    fn a_key_is_found_by_its_whole_fingerprint_among_others() {
        let (ada, eve) = (Signer::new(), Signer::new());
        let text = ada.armored();
        let keyring = Keyring::parse(text.as_bytes()).unwrap();

        assert!(keyring.find(&ada.fingerprint()).is_some());
        assert!(keyring.find(&eve.fingerprint()).is_none());
        assert!(Keyring::parse(b"no key").is_err());
    }
}
