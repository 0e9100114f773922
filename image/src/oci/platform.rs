//! For which machine an image is meant.

use std::fmt;

use serde::Deserialize;

/// Operating system, architecture and variant, in Go's spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    architecture: String,
    variant: Option<String>,
}

/// The platform of an index entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Described {
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) variant: Option<String>,
}

impl Platform {
    /// Linux on an architecture, spelled as Go, Docker or `uname` do (`amd64`, `arm64v8`,
    /// `x86_64`).
    pub fn linux(architecture: &str) -> Self {
        let (architecture, variant) = match architecture {
            "x86_64" => ("amd64", None),
            "aarch64" | "arm64v8" => ("arm64", None),
            "arm32v5" => ("arm", Some("v5")),
            "arm32v6" => ("arm", Some("v6")),
            "arm32v7" | "armv7l" => ("arm", Some("v7")),
            "i386" | "i686" => ("386", None),
            other => (other, None),
        };
        Self {
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// The machine this program runs on.
    pub fn host() -> Self {
        Self::linux(match std::env::consts::ARCH {
            "powerpc64" => "ppc64le",
            other => other,
        })
    }

    /// The architecture in Go's spelling.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Whether an index entry is for this platform. An entry without one is for
    /// linux/amd64.
    pub(super) fn matches(&self, described: Option<&Described>) -> bool {
        let Some(described) = described else {
            return self.architecture == "amd64";
        };
        let variant = described
            .variant
            .as_deref()
            .filter(|variant| !variant.is_empty());
        described.os == "linux"
            && described.architecture == self.architecture
            && (self.variant.is_none() || variant.is_none() || self.variant.as_deref() == variant)
    }
}

impl Described {
    /// `BuildKit` lists its attestations as images of an unknown platform.
    pub(super) fn is_attestation(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}
