//! How a definition is read: its build arguments, and how strictly.

use std::collections::BTreeMap;

/// How a definition is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Values of `{{ name }}`; they go before the defaults in `%arguments`.
    pub build_args: BTreeMap<String, String>,
    /// What a build argument is that no `{{ name }}` asks for.
    pub unused_build_args: Unused,
    /// Which grammar is accepted.
    pub mode: Mode,
    /// Whether there has to be a header.
    pub header: HeaderNeed,
}

/// Whether a definition has to have a header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeaderNeed {
    /// It has to name the base.
    #[default]
    Required,
    /// There is a base already: a definition of one stage may begin with its first section, and
    /// then stands on an empty base.
    Optional,
}

/// What a build argument is that no `{{ name }}` asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unused {
    /// An error: its name is likely misspelt.
    #[default]
    Refused,
    /// A warning.
    Warned,
}

/// Which grammar is accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// That of Apptainer and Singularity 3 and later.
    #[default]
    Modern,
    /// Also what Singularity 2 took without a word, each with a warning that says what to write
    /// today.
    Lenient,
}
