use pgp::packet::{KeyFlags, Notation};
use pgp::types::{Duration, Tag};

use super::*;

/// When owners of keys make them, in seconds since 1970.
pub(crate) const MADE: u32 = 1_700_000_000;

/// Somebody who has both halves of a key.
#[derive(Clone)]
pub(crate) struct Owner(SignedSecretKey);

impl Owner {
    /// Of a key that is good for ever.
    pub(crate) fn new() -> Self {
        let mut wanted = SecretKeyParamsBuilder::default();
        wanted
            .version(KeyVersion::V4)
            .key_type(KeyType::Ed25519Legacy)
            .created_at(Timestamp::from_secs(MADE))
            .can_certify(true)
            .can_sign(true)
            .primary_user_id("Ada <ada@example.org>".to_owned());
        let wanted = wanted.build().unwrap();
        let mut owner = Self(wanted.generate(rand_of_pgp::rngs::OsRng).unwrap());
        owner.0.details.users[0].signatures.clear();
        owner.saying(0, &[])
    }

    /// Says something else of the key, so many seconds after it was made.
    pub(crate) fn saying(mut self, after: u32, said: &[SubpacketData]) -> Self {
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        let said = [&[SubpacketData::KeyFlags(flags)], said].concat();
        let config = self.config(SignatureType::CertPositive, after, &said);
        let (key, user) = (&self.0.primary_key, &self.0.details.users[0]);
        let (public, unlocked) = (key.public_key(), pgp::types::Password::empty());
        let signature = config.sign_certification(key, public, &unlocked, Tag::UserId, &user.id);
        let signatures = &mut self.0.details.users[0].signatures;
        signatures.push(signature.unwrap());
        self
    }

    /// Says that the key lasts so many seconds.
    pub(crate) fn lasting(self, seconds: u32) -> Self {
        let lasts = SubpacketData::KeyExpirationTime(Duration::from_secs(seconds));
        self.saying(1, &[lasts])
    }

    /// Revokes the key, so many seconds after it was made.
    pub(crate) fn revoking(mut self, after: u32) -> Self {
        let config = self.config(SignatureType::KeyRevocation, after, &[]);
        let key = &self.0.primary_key;
        let revocation = config.sign_key(key, &pgp::types::Password::empty(), key.public_key());
        let revocations = &mut self.0.details.revocation_signatures;
        revocations.push(revocation.unwrap());
        self
    }

    fn config(&self, typ: SignatureType, after: u32, said: &[SubpacketData]) -> SignatureConfig {
        let key = &self.0.primary_key;
        let mut config = SignatureConfig::v4(typ, key.algorithm(), HashAlgorithm::Sha256);
        let time = SubpacketData::SignatureCreationTime(Timestamp::from_secs(MADE + after));
        let issuer = SubpacketData::IssuerFingerprint(key.fingerprint());
        let hashed = [time, issuer].into_iter().chain(said.iter().cloned());
        let hashed = hashed.map(|data| Subpacket::regular(data).unwrap());
        config.hashed_subpackets = hashed.collect();
        config
    }

    /// Signs a text, so many seconds after the key was made.
    pub(crate) fn sign(&self, text: &str, after: u32) -> String {
        let key = SigningKey(self.0.clone());
        key.sign(text, at(i64::from(MADE + after))).unwrap()
    }

    /// What they give to others.
    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::parse(&self.armored()).unwrap()
    }

    pub(crate) fn armored(&self) -> String {
        let public = self.0.to_public_key();
        public.to_armored_string(ArmorOptions::default()).unwrap()
    }
}

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
    let made = |key: &SigningKey, message: &str| key.public().made(message, Utc::now());
    let good = made(&key, &signed).unwrap();
    assert_eq!((good.key, good.signature), (None, None));
    assert_eq!(made(&other, &signed), None);
    assert_eq!(made(&key, &signed.replace(":1", ":2")), None);
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
    assert_eq!((read.expires_at(), read.lapse(Utc::now())), (None, None));
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

#[test]
fn a_key_counts_until_its_end_and_until_it_is_revoked() {
    let ada = Owner::new().lasting(1000);
    let message = ada.sign("text", 5);
    let end = at(i64::from(MADE) + 1000);
    let later = end + chrono::TimeDelta::seconds(1);
    let key_of = |owner: &Owner| owner.public().made(&message, later).unwrap().key;

    assert_eq!(ada.public().made(&message, end).unwrap().key, None);
    assert_eq!(key_of(&ada), Some(Lapse::Expired(end)));
    assert_eq!(ada.public().expires_at(), Some(end));
    let renewed = ada.saying(500, &[]);
    assert_eq!(key_of(&renewed), None);
    assert_eq!(renewed.public().expires_at(), None);
    let revoked = renewed.revoking(600);
    let time = at(i64::from(MADE) + 600);
    assert_eq!(key_of(&revoked), Some(Lapse::Revoked(time)));
}

#[test]
fn copies_of_a_key_say_together_what_each_says_whichever_came_first() {
    let old = Owner::new().lasting(1000);
    let (renewed, revoked) = (old.clone().saying(500, &[]), old.clone().revoking(600));
    let [old, renewed, revoked] = [old, renewed, revoked].map(|owner| owner.public());
    let later = at(i64::from(MADE) + 2000);
    let both = |one: &PublicKey, other: &PublicKey| one.clone().with(other.clone());

    for together in [both(&old, &renewed), both(&renewed, &old)] {
        assert_eq!(together.lapse(later), None);
    }
    for together in [both(&renewed, &revoked), both(&revoked, &renewed)] {
        let lapse = together.lapse(later);
        assert!(matches!(lapse, Some(Lapse::Revoked(_))), "{lapse:?}");
        let read = PublicKey::parse(&together.armored().unwrap()).unwrap();
        assert_eq!(read, together);
    }
    assert_eq!(both(&renewed, &old), renewed);
}

#[test]
fn what_is_not_signed_of_a_key_is_not_kept() {
    let ada = Owner::new();
    let mut grown = ada.clone();
    let signature = &mut grown.0.details.users[0].signatures[0];
    let notation = Notation {
        readable: true,
        name: "name".into(),
        value: vec![b'x'; 10_000].into(),
    };
    let notation = Subpacket::regular(SubpacketData::Notation(notation)).unwrap();
    signature.unhashed_subpacket_push(notation).unwrap();
    let twice = grown.0.details.users[0].clone();
    grown.0.details.users.push(twice);

    assert!(grown.armored().len() > 10_000);
    assert_eq!(grown.public(), ada.public());
    assert_eq!(ada.public().with(grown.public()), ada.public());
}

#[test]
fn a_revocation_that_somebody_else_made_is_refused() {
    let (ada, eve) = (Owner::new(), Owner::new().revoking(1));
    let mut forged = ada.clone();
    let revocations = eve.0.details.revocation_signatures;
    forged.0.details.revocation_signatures = revocations;

    let parsed = PublicKey::parse(&forged.armored());

    assert_eq!(parsed, Err(NotKey::Unbound));
}
