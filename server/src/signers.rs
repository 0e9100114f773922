//! Who signed an image, as far as the keys that are here tell?

use chrono::{DateTime, Utc};
use cooperage_protocol::ImageId;

use crate::db::keys::{self, Key};
use crate::db::signatures;
use crate::error::Error;
use crate::keystore;
use crate::openpgp::{Lapse, Made};
use crate::sif::{Covers, SifSignature};
use crate::state::Hub;

/// A signature of an image, and what it is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signer {
    /// The fingerprint of the key that it names, if it names one.
    pub(crate) fingerprint: Option<String>,
    /// The key, if it is here.
    pub(crate) key: Option<KnownKey>,
    /// What it is worth.
    pub(crate) verdict: Verdict,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownKey {
    /// Whose it says it is.
    pub(crate) user_ids: Vec<String>,
    /// Whether the hub made it for itself.
    pub(crate) is_hubs: bool,
    /// The account that added it, if it is still there.
    pub(crate) added_by: Option<String>,
}

/// What a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The key signed this image.
    Good,
    /// The key signed some objects of this image.
    GoodForAPart,
    /// It is in order, but its key is not here.
    UnknownKey,
    /// The key signed it, and counts no more.
    Lapsed(Made),
    /// The key did not sign it, or something else.
    Bad,
    /// It is of a kind that the hub does not read.
    Unread,
}

impl Verdict {
    /// For people.
    pub(crate) fn told(self) -> String {
        let told = match self {
            Self::Good => "valid",
            Self::GoodForAPart => "valid, but only for a part of the image",
            Self::UnknownKey => "not checked: the key is not in this keystore",
            Self::Lapsed(made) => return lapsed(&made),
            Self::Bad => "not valid: the image or the signature was changed",
            Self::Unread => "not checked: a kind of signature that is not read here",
        };
        told.to_owned()
    }

    /// Whether the image is what its signer signed.
    pub(crate) const fn is_good(self) -> bool {
        matches!(self, Self::Good)
    }
}

/// Why a signature counts no more. When it was made only its signer says.
fn lapsed(made: &Made) -> String {
    let what = if made.key.is_some() {
        "the key"
    } else {
        "the signature"
    };
    let day = |time: DateTime<Utc>| time.format("%Y-%m-%d").to_string();
    let why = match made.key.or(made.signature) {
        Some(Lapse::Revoked(time)) => format!("was revoked on {}", day(time)),
        Some(Lapse::Expired(time)) => format!("expired on {}", day(time)),
        Some(Lapse::Early(time)) => format!("counts only from {} on", day(time)),
        None => "counts no more".to_owned(),
    };
    let signed = day(made.at);
    format!("{what} {why}; the signature says that it was made on {signed}")
}

/// Who signed an image.
pub(crate) async fn of_image(hub: &Hub, image: ImageId) -> Result<Vec<Signer>, Error> {
    let mut signers = Vec::new();
    for signature in signatures::of_image(&hub.db, image).await? {
        let key = match &signature.fingerprint {
            Some(fingerprint) => keys::find(&hub.db, fingerprint).await?,
            None => None,
        };
        signers.push(judge(signature, key)?);
    }
    Ok(signers)
}

fn judge(signature: SifSignature, key: Option<Key>) -> Result<Signer, Error> {
    let Some(key) = key else {
        let verdict = match signature.covers {
            Covers::Everything | Covers::Part => Verdict::UnknownKey,
            Covers::SomethingElse => Verdict::Bad,
            Covers::Unknown => Verdict::Unread,
        };
        return Ok(Signer {
            fingerprint: signature.fingerprint,
            key: None,
            verdict,
        });
    };
    let public = keystore::read(&key)?;
    let made = public.made(&signature.message, Utc::now());
    let verdict = match (signature.covers, made) {
        (Covers::Unknown, _) => Verdict::Unread,
        (Covers::SomethingElse, _) | (_, None) => Verdict::Bad,
        (_, Some(made)) if made.has_lapsed() => Verdict::Lapsed(made),
        (Covers::Everything, Some(_)) => Verdict::Good,
        (Covers::Part, Some(_)) => Verdict::GoodForAPart,
    };
    Ok(Signer {
        fingerprint: signature.fingerprint,
        key: Some(KnownKey {
            user_ids: public.user_ids(),
            is_hubs: key.is_hubs,
            added_by: key.added_by,
        }),
        verdict,
    })
}
