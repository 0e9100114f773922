//! Content digests in the form that OCI uses: `sha256:` and 64 lower-case hex digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// The SHA-256 of some bytes; the name of everything that the hub stores.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// The text is not `sha256:` followed by 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("digest {0:?} is not sha256: followed by 64 lower-case hex digits")]
pub struct InvalidDigest(String);

impl Digest {
    /// Computes the digest of bytes held in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Takes the 32 bytes that a hasher gave.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Gives the 64 hex digits without the `sha256:` prefix.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Gives the first twelve hex digits, enough for a person to tell images apart.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidDigest(text.to_owned());
        let digits = text.strip_prefix("sha256:").ok_or_else(invalid)?;
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(invalid());
        }
        let bytes = hex::decode(digits).map_err(|_| invalid())?;
        bytes.try_into().map(Self).map_err(|_| invalid())
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_prints_as_it_was_parsed() {
        assert_eq!(EMPTY.parse::<Digest>().unwrap().to_string(), EMPTY);
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
    }

    #[test]
    fn wrong_algorithms_lengths_and_capitals_are_refused() {
        let capitals = EMPTY.replace("e3b0", "E3B0");
        for text in [
            "",
            "sha256:",
            "sha512:00",
            "sha256:zz",
            &EMPTY[..70],
            capitals.as_str(),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
