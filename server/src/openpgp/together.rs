//! What do two copies of a key say together?
//!
//! What a key signed of itself, only its owner can have made: whoever sends it, it may be kept. What
//! is not signed anybody may add, without end: it is left out.

use std::collections::HashSet;

use pgp::composed::SignedPublicKey;
use pgp::packet::{Signature, SignatureVersion, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, KeyId};

/// All that one of two copies of a key says, once.
pub(super) fn together(mut key: SignedPublicKey, other: SignedPublicKey) -> SignedPublicKey {
    let details = &mut key.details;
    let others = other.details;
    details
        .revocation_signatures
        .extend(others.revocation_signatures);
    details.direct_signatures.extend(others.direct_signatures);
    for user in others.users {
        let mut known = details.users.iter_mut();
        match known.find(|known| known.id.id() == user.id.id()) {
            Some(known) => known.signatures.extend(user.signatures),
            None => details.users.push(user),
        }
    }
    for subkey in other.public_subkeys {
        let mut known = key.public_subkeys.iter_mut();
        match known.find(|known| known.key.fingerprint() == subkey.key.fingerprint()) {
            Some(known) => known.signatures.extend(subkey.signatures),
            None => key.public_subkeys.push(subkey),
        }
    }
    once(key)
}

/// The key with every user id, subkey and signature once.
pub(super) fn plain(key: SignedPublicKey) -> SignedPublicKey {
    let mut first = key.clone();
    first.details.users.clear();
    first.public_subkeys.clear();
    together(first, key)
}

fn once(mut key: SignedPublicKey) -> SignedPublicKey {
    let issuer = key.primary_key.legacy_key_id();
    let details = &mut key.details;
    all_once(&mut details.revocation_signatures, issuer, issuer);
    all_once(&mut details.direct_signatures, issuer, issuer);
    for user in &mut details.users {
        all_once(&mut user.signatures, issuer, issuer);
    }
    for subkey in &mut key.public_subkeys {
        let back = subkey.key.legacy_key_id();
        all_once(&mut subkey.signatures, issuer, back);
    }
    key
}

fn all_once(signatures: &mut Vec<Signature>, issuer: KeyId, back: KeyId) {
    let mut seen = HashSet::new();
    for signature in signatures.iter_mut() {
        if let Some(signed) = only_signed(signature, issuer, Some(back)) {
            *signature = signed;
        }
    }
    signatures.retain(|signature| {
        let bytes = signature.to_bytes();
        bytes.is_ok_and(|bytes| seen.insert(bytes))
    });
}

/// A signature with nothing beside what is signed but who made it; and, of a subkey that signs, the
/// subkey's own signature, which speaks for itself.
fn only_signed(signature: &Signature, issuer: KeyId, back: Option<KeyId>) -> Option<Signature> {
    if signature.version() != SignatureVersion::V4 {
        return None;
    }
    let mut config = signature.config()?.clone();
    let is_back = |packet: &&Subpacket| matches!(packet.data, SubpacketData::EmbeddedSignature(_));
    let has_back = config
        .hashed_subpackets
        .iter()
        .any(|packet| is_back(&packet));
    let mut unsigned = vec![SubpacketData::IssuerKeyId(issuer)];
    if let (false, Some(back)) = (has_back, back)
        && let Some(embedded) = signature.embedded_signature()
    {
        let embedded = only_signed(embedded, back, None)?;
        unsigned.push(SubpacketData::EmbeddedSignature(Box::new(embedded)));
    }
    let unsigned = unsigned.into_iter().map(Subpacket::regular);
    config.unhashed_subpackets = unsigned.collect::<Result<_, _>>().ok()?;
    let (check, bytes) = (signature.signed_hash_value()?, signature.signature()?);
    Signature::from_config(config, check, bytes.clone()).ok()
}
