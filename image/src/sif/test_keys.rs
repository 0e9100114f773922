//! Keys that sign in tests.

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{Duration, KeyDetails as _, KeyVersion, Password, Tag, Timestamp};

use super::{Fingerprint, PublicKey};

/// When keys are made, in seconds since 1970.
pub(crate) const MADE: u32 = 1_700_000_000;

/// A key of which both halves are known.
pub(crate) struct Signer(pub(crate) SignedSecretKey);

impl Signer {
    /// A key that is good for ever, with a subkey that signs, too.
    pub(crate) fn new() -> Self {
        let mut subkey = SubkeyParamsBuilder::default();
        subkey
            .version(KeyVersion::V4)
            .key_type(KeyType::Ed25519Legacy)
            .created_at(Timestamp::from_secs(MADE))
            .can_sign(true);
        let mut wanted = SecretKeyParamsBuilder::default();
        wanted
            .version(KeyVersion::V4)
            .key_type(KeyType::Ed25519Legacy)
            .created_at(Timestamp::from_secs(MADE))
            .can_certify(true)
            .can_sign(true)
            .primary_user_id("Ada <ada@example.org>".to_owned())
            .subkeys(vec![subkey.build().unwrap()]);
        let wanted = wanted.build().unwrap();
        let key = wanted.generate(rand_of_pgp::rngs::OsRng).unwrap();
        Self(key).saying(0, &[])
    }

    /// The key saying something else of itself, so many seconds after it was made.
    pub(crate) fn saying(mut self, after: u32, said: &[SubpacketData]) -> Self {
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        let said = [&[SubpacketData::KeyFlags(flags)], said].concat();
        let user = self.0.details.users[0].clone();
        let config = self.config(SignatureType::CertPositive, MADE + after, &said);
        let (key, public) = (&self.0.primary_key, self.0.primary_key.public_key());
        let unlocked = Password::empty();
        let signature = config.sign_certification(key, public, &unlocked, Tag::UserId, &user.id);
        let signatures = &mut self.0.details.users[0].signatures;
        signatures.retain(|signature| signature.created().unwrap().as_secs() <= MADE + after);
        signatures.push(signature.unwrap());
        self
    }

    /// The key with an end, so many seconds after it was made.
    pub(crate) fn lasting(self, seconds: u32) -> Self {
        let lasts = Duration::from_secs(seconds);
        self.saying(1, &[SubpacketData::KeyExpirationTime(lasts)])
    }

    /// The key with its revocation.
    pub(crate) fn revoked(mut self) -> Self {
        let config = self.config(SignatureType::KeyRevocation, MADE + 10, &[]);
        let key = &self.0.primary_key;
        let revocation = config.sign_key(key, &Password::empty(), key.public_key());
        let revocations = &mut self.0.details.revocation_signatures;
        revocations.push(revocation.unwrap());
        self
    }

    fn config(&self, typ: SignatureType, made: u32, said: &[SubpacketData]) -> SignatureConfig {
        let key = &self.0.primary_key;
        let mut config = SignatureConfig::v4(typ, key.algorithm(), HashAlgorithm::Sha256);
        let time = SubpacketData::SignatureCreationTime(Timestamp::from_secs(made));
        let issuer = SubpacketData::IssuerFingerprint(key.fingerprint());
        let hashed = [time, issuer].into_iter().chain(said.iter().cloned());
        config.hashed_subpackets = hashed
            .map(|data| Subpacket::regular(data).unwrap())
            .collect();
        config
    }

    /// Signs a text, so many seconds after the key was made.
    pub(crate) fn sign(&self, text: &str, after: u32, said: &[SubpacketData]) -> String {
        let config = self.config(SignatureType::Text, MADE + after, said);
        let signed =
            CleartextSignedMessage::new(text, config, &self.0.primary_key, &Password::empty());
        let signed = signed.unwrap();
        signed.to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// Signs a text with the subkey, as soon as it was made.
    pub(crate) fn sign_with_subkey(&self, text: &str) -> String {
        let subkey = &self.0.secret_subkeys[0].key;
        let mut config = self.config(SignatureType::Text, MADE, &[]);
        let issuer = SubpacketData::IssuerFingerprint(subkey.fingerprint());
        config.hashed_subpackets[1] = Subpacket::regular(issuer).unwrap();
        let signed = CleartextSignedMessage::new(text, config, subkey, &Password::empty());
        let signed = signed.unwrap();
        signed.to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// The key with its subkey taken back.
    pub(crate) fn without_subkey(mut self) -> Self {
        let config = self.config(SignatureType::SubkeyRevocation, MADE + 10, &[]);
        let (key, subkey) = (&self.0.primary_key, &self.0.secret_subkeys[0]);
        let revocation = config.sign_subkey_binding(
            key,
            key.public_key(),
            &Password::empty(),
            subkey.key.public_key(),
        );
        let signatures: &mut Vec<Signature> = &mut self.0.secret_subkeys[0].signatures;
        signatures.push(revocation.unwrap());
        self
    }

    pub(crate) fn public(&self) -> SignedPublicKey {
        self.0.to_public_key()
    }

    pub(crate) fn key(&self) -> PublicKey {
        PublicKey::new(self.public()).unwrap()
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let fingerprint = self.0.primary_key.fingerprint();
        Fingerprint::parse(&hex::encode(fingerprint.as_bytes())).unwrap()
    }

    /// The public half as a text.
    pub(crate) fn armored(&self) -> String {
        let public = self.public();
        public.to_armored_string(ArmorOptions::default()).unwrap()
    }
}
