//! For which machine an image is meant.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// Architectures that are known, in Go's spelling.
const KNOWN: &str = "amd64, arm64, arm32v7, arm32v6, arm32v5, 386, ppc64le, s390x, riscv64, \
                     loong64, mips64le, mipsle, ppc64";

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
    /// The machine this program runs on.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "arm" => "arm32v7",
            // The only one of the two that Linux distributions still are made for.
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        linux(architecture)
    }

    /// The architecture in Go's spelling.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// How well an index entry fits this platform, the best with the lowest number; `None` if it
    /// does not. An entry without a platform is for linux/amd64.
    pub(super) fn distance(&self, described: Option<&Described>) -> Option<u32> {
        let Some(described) = described else {
            return (self.architecture == "amd64").then_some(0);
        };
        if described.os != "linux" || described.architecture != self.architecture {
            return None;
        }
        let wanted = self.variant.as_deref().or(self.usual_variant());
        let wanted = wanted.map_or(Some(0), number);
        let offered = described.variant.as_deref();
        let offered = offered.filter(|variant| !variant.is_empty());
        let offered = offered.or(self.usual_variant()).map_or(Some(0), number);
        match (wanted, offered) {
            // A machine runs what is made for those before it, and not what is made for later ones.
            (Some(wanted), Some(offered)) => wanted.checked_sub(offered),
            _ => None,
        }
    }

    /// What the architecture means without a variant.
    fn usual_variant(&self) -> Option<&'static str> {
        match self.architecture.as_str() {
            "amd64" => Some("v1"),
            "arm64" => Some("v8"),
            "arm" => Some("v7"),
            _ => None,
        }
    }
}

fn number(variant: &str) -> Option<u32> {
    // `v8.1` and `v8` are one thing here, and early lists have `armv7`.
    let variant = variant.strip_prefix("arm").unwrap_or(variant);
    let digits = variant.strip_prefix('v')?;
    digits.split('.').next()?.parse().ok()
}

/// Reads an architecture as Go, Docker, Apptainer's `--arch` or `uname` spell it (`amd64`,
/// `arm64v8`, `arm32v7`, `x86_64`), or a platform (`linux/arm/v7`).
impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().to_ascii_lowercase();
        let (architecture, variant) = match text.split('/').collect::<Vec<_>>()[..] {
            [architecture] | ["linux", architecture] => (architecture, None),
            ["linux", architecture, variant] | [architecture, variant]
                if number(variant).is_some() =>
            {
                (architecture, Some(variant))
            }
            _ => return Err(unknown(&text)),
        };
        let mut platform = linux(architecture);
        if !KNOWN
            .split(", ")
            .any(|known| linux(known).architecture == platform.architecture)
        {
            return Err(unknown(&text));
        }
        platform.variant = variant.map(str::to_owned).or(platform.variant);
        Ok(platform)
    }
}

fn unknown(text: &str) -> String {
    format!("`{text}` is no architecture of Linux images; known are {KNOWN}")
}

fn linux(architecture: &str) -> Platform {
    let (architecture, variant) = match architecture {
        "x86_64" => ("amd64", None),
        "aarch64" => ("arm64", None),
        "arm64v8" => ("arm64", Some("v8")),
        "arm32v5" | "armv5l" => ("arm", Some("v5")),
        "arm32v6" | "armv6l" => ("arm", Some("v6")),
        "arm32v7" | "armv7l" => ("arm", Some("v7")),
        "x86" | "i386" | "i686" => ("386", None),
        other => (other, None),
    };
    Platform {
        architecture: architecture.to_owned(),
        variant: variant.map(str::to_owned),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(wanted: &str, os: &str, architecture: &str, variant: &str) -> Option<u32> {
        let described = Described {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: (!variant.is_empty()).then(|| variant.to_owned()),
        };
        wanted
            .parse::<Platform>()
            .unwrap()
            .distance(Some(&described))
    }

    #[test]
    fn architectures_are_read_in_all_their_spellings() {
        let full = |text: &str| {
            text.parse::<Platform>()
                .map(|platform| platform.to_string())
        };

        assert_eq!(full("x86_64").unwrap(), "linux/amd64");
        assert_eq!(full("arm32v7").unwrap(), "linux/arm/v7");
        assert_eq!(full("linux/arm/v6").unwrap(), "linux/arm/v6");
        assert_eq!(full("arm64v8").unwrap(), "linux/arm64/v8");
        assert_eq!(full("386").unwrap(), "linux/386");
        for wrong in ["", "amd46", "windows/amd64", "linux/arm/v7/x", "arm/seven"] {
            assert!(
                full(wrong).unwrap_err().contains("known are amd64"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_machine_takes_the_best_variant_that_it_can_run() {
        assert_eq!(distance("arm64", "linux", "arm64", "v8"), Some(0));
        assert_eq!(distance("arm64v8", "linux", "arm64", ""), Some(0));
        assert_eq!(distance("arm32v7", "linux", "arm", "v7"), Some(0));
        assert_eq!(distance("arm32v7", "linux", "arm", "v5"), Some(2));
        assert_eq!(distance("arm32v6", "linux", "arm", "v7"), None);
        assert_eq!(distance("amd64", "linux", "amd64", "v3"), None);
        assert_eq!(distance("s390x", "linux", "s390x", ""), Some(0));
        assert_eq!(distance("amd64", "windows", "amd64", ""), None);
    }
}
