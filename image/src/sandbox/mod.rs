//! Work and scripts inside a user namespace.

/// Which ids the sandbox's root and its users have outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Identity {
    /// A range of subordinate ids when the caller has one, otherwise a single id.
    #[default]
    Auto,
    /// A range of subordinate ids; an error when the caller has none.
    Range,
    /// The caller's own id only.
    Single,
}

/// What scripts reach over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// What the machine reaches.
    #[default]
    Host,
    /// Nothing.
    None,
}

/// Becomes a helper inside a user namespace if this process was executed as one; returns at once
/// otherwise. To be called first thing in `main`, before any thread exists.
pub fn enter_if_asked() {}
