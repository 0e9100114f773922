//! Work and scripts inside a user namespace.
//!
//! The program executes itself again: [`enter_if_asked`] notices it, makes the namespaces and does
//! one job, either a [`Task`](crate::inside::Task) of our own or somebody's script.

mod bind;
mod capabilities;
mod channel;
mod child;
pub(crate) mod container;
mod failure;
mod identity;
mod init;
mod lend;
mod limits;
mod mounts;
mod namespace;
mod overlays;
mod root;
mod script;
mod syscalls;
mod usage;
mod workspace;

pub use bind::Bind;
pub use child::enter_if_asked;
pub use failure::Failure;
pub(crate) use mounts::{ROOTFS, UPPER};
pub use namespace::{Namespace, Output, Streams};
pub(crate) use overlays::require as require_overlays;
pub use root::Root;
pub use script::{ScriptRun, Section, run_script};
pub use workspace::{Workspace, own_folder, sweep};

const USER_NAMESPACES_HELP: &str = "allow unprivileged user namespaces: \
    sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), \
    sysctl kernel.unprivileged_userns_clone=1 (older Debian)";

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
