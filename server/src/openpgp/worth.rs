//! What is a key worth today, and what it signed?
//!
//! A key is judged by today, as Apptainer judges it: when a signature was made says the signer alone,
//! and whoever found an expired or revoked key may say any time.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use pgp::composed::{CleartextSignedMessage, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::{Duration, KeyDetails as _, SignedUser, Timestamp};

/// What a signature may be made with: what is weaker, clients refuse too.
const HASHES: [HashAlgorithm; 4] = [
    HashAlgorithm::Sha224,
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha512,
];

/// Why a key or a signature of it counts no more, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lapse {
    /// Its owner revoked it; when, they say themselves.
    Revoked(DateTime<Utc>),
    /// Its time is over.
    Expired(DateTime<Utc>),
    /// It says that it is of a time to come.
    Early(DateTime<Utc>),
}

/// A signature that a key made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Made {
    /// When it was made, as it says.
    pub(crate) at: DateTime<Utc>,
    /// Why the key counts no more.
    pub(crate) key: Option<Lapse>,
    /// Why the signature counts no more.
    pub(crate) signature: Option<Lapse>,
}

impl Made {
    /// Whether the signature counts no more, or not yet.
    pub(crate) fn has_lapsed(&self) -> bool {
        self.key.or(self.signature).is_some()
    }
}

/// How a key signed a message, with itself or with a subkey; nothing if it did not.
pub(super) fn made(key: &SignedPublicKey, message: &str, now: DateTime<Utc>) -> Option<Made> {
    let (message, _) = CleartextSignedMessage::from_string(message).ok()?;
    let (signature, of_subkey) = signature(key, &message, now)?;
    signature.hash_alg().filter(|hash| HASHES.contains(hash))?;
    let made = signature.created()?;
    Some(Made {
        at: time(made),
        key: lapse(key, now).or(of_subkey),
        signature: lapse_of(made, signature.signature_expiration_time(), now),
    })
}

/// Why a key counts no more.
pub(super) fn lapse(key: &SignedPublicKey, now: DateTime<Utc>) -> Option<Lapse> {
    let details = &key.details;
    let users = &details.users;
    let of_users = users.iter().map(taken_back);
    let of_users = of_users.collect::<Option<Vec<_>>>().unwrap_or_default();
    let revocations = details.revocation_signatures.iter().filter_map(made_at);
    if let Some(first) = revocations.min().or(of_users.into_iter().max()) {
        return Some(Lapse::Revoked(first));
    }
    let lasts = statement(key)?.key_expiration_time();
    lapse_of(key.primary_key.created_at(), lasts, now)
}

/// When a key is over, if it says so.
pub(super) fn end(key: &SignedPublicKey) -> Option<DateTime<Utc>> {
    let lasts = std::time::Duration::from(statement(key)?.key_expiration_time()?);
    (!lasts.is_zero()).then(|| time(key.primary_key.created_at()) + lasts)
}

/// Whether its owner took a user id back, and when.
pub(super) fn taken_back(user: &SignedUser) -> Option<DateTime<Utc>> {
    let revocations = user.signatures.iter();
    let revocations = revocations.filter(|signature| is_revocation(signature));
    revocations.filter_map(made_at).min()
}

/// The signature of the key or of a subkey that may sign, and why that subkey counts no more.
fn signature<'m>(
    key: &SignedPublicKey,
    message: &'m CleartextSignedMessage,
    now: DateTime<Utc>,
) -> Option<(&'m Signature, Option<Lapse>)> {
    let by_primary = message.verify(&key.primary_key).ok();
    if let Some(signature) = by_primary.filter(|_| statement(key).is_some_and(may_sign)) {
        return Some((signature, None));
    }
    key.public_subkeys.iter().find_map(|subkey| {
        let bindings = subkey.signatures.iter();
        let bindings = bindings.filter(|signature| !is_revocation(signature));
        // What does not sign need not show that it wants to be a subkey of this key.
        let binding = bindings.max_by_key(|signature| made_at(signature))?;
        let signature = message.verify(&subkey.key).ok();
        let signature = signature.filter(|_| binding.key_flags().sign())?;
        let revocations = subkey.signatures.iter();
        let revocations = revocations.filter(|signature| is_revocation(signature));
        let revoked = revocations.filter_map(made_at).min().map(Lapse::Revoked);
        let lasts = binding.key_expiration_time();
        let lapse = revoked.or_else(|| lapse_of(subkey.key.created_at(), lasts, now));
        Some((signature, lapse))
    })
}

/// What a key says of itself with its main user id: the newest certification of that which is not
/// taken back and is marked as the main one, or of the newest.
fn statement(key: &SignedPublicKey) -> Option<&Signature> {
    let statements = key.details.users.iter().filter_map(|user| {
        let said = user.signatures.iter();
        let said = said.filter(|signature| !is_revocation(signature));
        let newest = said.max_by_key(|signature| made_at(signature))?;
        let rank = (
            taken_back(user).is_none(),
            newest.is_primary(),
            made_at(newest),
        );
        Some((rank, newest))
    });
    let main = statements.max_by_key(|(rank, _)| *rank);
    main.map(|(_, signature)| signature)
}

/// A key that does not say what it is for is for everything.
fn may_sign(statement: &Signature) -> bool {
    let said = statement.config().map(|config| &config.hashed_subpackets);
    let mut said = said.into_iter().flatten();
    let says = said.any(|packet| matches!(packet.data, SubpacketData::KeyFlags(_)));
    !says || statement.key_flags().sign()
}

fn is_revocation(signature: &Signature) -> bool {
    matches!(
        signature.typ(),
        Some(SignatureType::CertRevocation | SignatureType::SubkeyRevocation)
    )
}

/// Why what was made at a time, and lasts so long, does not count now.
fn lapse_of(made: Timestamp, lasts: Option<Duration>, now: DateTime<Utc>) -> Option<Lapse> {
    let made = time(made);
    if made > now {
        return Some(Lapse::Early(made));
    }
    let lasts = std::time::Duration::from(lasts?);
    let end = made + lasts;
    (!lasts.is_zero() && end < now).then_some(Lapse::Expired(end))
}

fn made_at(signature: &Signature) -> Option<DateTime<Utc>> {
    signature.created().map(time)
}

fn time(timestamp: Timestamp) -> DateTime<Utc> {
    SystemTime::from(timestamp).into()
}
