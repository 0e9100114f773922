//! Is an ID token true? Signed by the provider, for this hub, for this sign-in, and not too old.
//!
//! <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far the clocks of provider and hub may be apart, in seconds.
const LEEWAY: u64 = 60;
const LONGEST_SUBJECT: usize = 255;

/// What a token has to say.
pub(super) struct Expected<'a> {
    /// Who made it.
    pub(super) issuer: &'a str,
    /// Whom it was made for.
    pub(super) client_id: &'a str,
    /// Which sign-in it was made for.
    pub(super) nonce: &'a str,
}

/// The public keys of a provider.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Keys {
    /// Kept as they are, because one of a kind that we do not know must not spoil the others.
    keys: Vec<Value>,
}

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untrue {
    /// No key that we have can have signed it: perhaps there are new ones.
    #[error("it is signed by a key that the provider does not list")]
    UnknownKey,
    /// It says something else than it must.
    #[error("{0}")]
    Wrong(String),
}

impl From<jsonwebtoken::errors::Error> for Untrue {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        Self::Wrong(error.to_string())
    }
}

/// Gives the claims of a token that is true.
///
/// # Security
///
/// The algorithm is the token's own choice among signatures by public keys, and has to fit the key:
/// `none`, and the client's secret or a public key taken for a shared one, are not among them.
pub(super) fn verify(
    token: &str,
    keys: &Keys,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, Untrue> {
    let header = jsonwebtoken::decode_header(token)?;
    let family = family_of(header.alg)?;
    let mut refusal = Untrue::UnknownKey;
    for key in keys.usable(header.kid.as_deref(), family) {
        let validation = validation(header.alg, expected);
        match jsonwebtoken::decode(token, &key, &validation) {
            Ok(decoded) => return check(decoded.claims, expected),
            Err(error) => refusal = error.into(),
        }
    }
    Err(refusal)
}

fn family_of(algorithm: Algorithm) -> Result<AlgorithmFamily, Untrue> {
    let families = [
        AlgorithmFamily::Rsa,
        AlgorithmFamily::Ec,
        AlgorithmFamily::Ed,
    ];
    let found = families
        .into_iter()
        .find(|family| family.algorithms().contains(&algorithm));
    found.ok_or_else(|| Untrue::Wrong(format!("{algorithm:?} is no signature by a public key")))
}

impl Keys {
    fn usable(
        &self,
        id: Option<&str>,
        family: AlgorithmFamily,
    ) -> impl Iterator<Item = DecodingKey> {
        self.keys.iter().filter_map(move |key| {
            let key = Jwk::deserialize(key).ok()?;
            let is_for_signatures = matches!(
                key.common.public_key_use,
                None | Some(PublicKeyUse::Signature)
            );
            let is_meant = id.is_none() || key.common.key_id.as_deref() == id;
            if !is_for_signatures || !is_meant || family_of_key(&key) != Some(family) {
                return None;
            }
            DecodingKey::from_jwk(&key).ok()
        })
    }
}

fn family_of_key(key: &Jwk) -> Option<AlgorithmFamily> {
    match key.algorithm {
        AlgorithmParameters::RSA(_) => Some(AlgorithmFamily::Rsa),
        AlgorithmParameters::EllipticCurve(_) => Some(AlgorithmFamily::Ec),
        AlgorithmParameters::OctetKeyPair(_) => Some(AlgorithmFamily::Ed),
        _ => None,
    }
}

fn validation(algorithm: Algorithm, expected: &Expected<'_>) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.client_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}

/// Checks what no library knows.
fn check(
    claims: Map<String, Value>,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, Untrue> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let wrong = |told: &str| Err(Untrue::Wrong(told.to_owned()));
    // Claims of a wrong type must not pass for absent ones.
    if !claims.get("exp").is_some_and(Value::is_number) {
        return wrong("it does not say when it ends");
    }
    if claims.get("nbf").is_some_and(|claim| !claim.is_number()) {
        return wrong("it does not say rightly when it begins");
    }
    if text("iss") != Some(expected.issuer) {
        return wrong("it is another issuer's");
    }
    if text("nonce") != Some(expected.nonce) {
        return wrong("it was made for another sign-in");
    }
    let audiences = claims.get("aud").and_then(Value::as_array);
    let has_others = audiences.is_some_and(|audiences| audiences.len() > 1);
    let party = claims.get("azp").map(Value::as_str);
    if (has_others || party.is_some()) && party != Some(Some(expected.client_id)) {
        return wrong("it was made for another client");
    }
    match text("sub") {
        Some(subject) if !subject.is_empty() && subject.len() <= LONGEST_SUBJECT => Ok(claims),
        _ => wrong("it does not say whom it is about"),
    }
}
