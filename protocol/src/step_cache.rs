//! Whether a build may take what scripts and files made before.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether scripts are run and files copied again although nothing changed that they depend on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepCache {
    /// What they made of the same base before is taken, for as long as the worker keeps it.
    #[default]
    On,
    /// They are run and copied in any case, and what they make is kept for no other build.
    Off,
}

impl StepCache {
    /// The switch as it is written in JSON, in the database and on pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }

    /// Whether it is as most have it, and need not be said.
    pub fn is_on(&self) -> bool {
        *self == Self::On
    }
}

impl fmt::Display for StepCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no position of the switch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step cache {0:?} is neither on nor off")]
pub struct InvalidStepCache(String);

impl FromStr for StepCache {
    type Err = InvalidStepCache;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::On, Self::Off]
            .into_iter()
            .find(|switch| switch.as_str() == text)
            .ok_or_else(|| InvalidStepCache(text.to_owned()))
    }
}
