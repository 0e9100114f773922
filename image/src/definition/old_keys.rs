//! The keys of a header that only Singularity 2 had, and the names it had for agents.

use super::diagnostic::{Report, Text, quoted};
use super::entries::Entry;
use super::options::Mode;

/// A key that only Singularity 2 had.
pub(super) struct OldKey {
    name: &'static str,
    pub(super) is: Old,
    help: &'static str,
}

/// What an old key is today.
#[derive(Clone, Copy)]
pub(super) enum Old {
    /// What it says goes to this key.
    Key(&'static str),
    /// Nothing.
    Ignored,
}

const BOOTSTRAP: &str = "write `Bootstrap`";

const OLD_KEYS: &[OldKey] = &[
    OldKey::new("ostype", Old::Key("bootstrap"), BOOTSTRAP),
    OldKey::new("osbuild", Old::Key("bootstrap"), BOOTSTRAP),
    OldKey::new(
        "gpg",
        Old::Key("gpg"),
        "remove it: Apptainer takes the key from the variable `GPG`",
    ),
    OldKey::new(
        "metalink",
        Old::Ignored,
        "write `MirrorURL`, with the address of one mirror",
    ),
    OldKey::new(
        "updatemetalink",
        Old::Ignored,
        "write `UpdateURL`, with the address of one mirror",
    ),
    OldKey::new(
        "arch",
        Old::Ignored,
        "remove it: an image has the architecture of the machine that builds it",
    ),
    OldKey::new("version", Old::Ignored, "write a label, in `%labels`"),
    OldKey::new(
        "exclude",
        Old::Ignored,
        "remove it: only the agent `self` had it",
    ),
    OldKey::new(
        "import",
        Old::Ignored,
        "write the lines of the other file in its place",
    ),
];

/// What agents were called, and what they are called today.
const OLD_AGENTS: &[(&str, &str)] = &[("redhat", "yum"), ("debian", "debootstrap")];

impl OldKey {
    const fn new(name: &'static str, is: Old, help: &'static str) -> Self {
        Self { name, is, help }
    }
}

/// What is known of a key that there is no longer.
pub(super) fn find(key: &str) -> Option<&'static OldKey> {
    OLD_KEYS.iter().find(|old| old.name == key)
}

/// Says what to write instead of a key.
pub(super) fn report(old: &OldKey, entry: &Entry, report: &mut Report<'_>) {
    let mut message = format!("header key {} is one of Singularity 2", quoted(&entry.key));
    if report.mode() == Mode::Lenient && matches!(old.is, Old::Ignored) {
        message.push_str(": it is left out");
    }
    report.outdated(
        "outdated-header-key",
        &entry.key_range,
        Text::new(message).help(old.help),
    );
}

/// The name that an agent has today; says so if it had another one.
pub(super) fn agent<'a>(entry: &'a Entry, report: &mut Report<'_>) -> &'a str {
    let mut agents = OLD_AGENTS.iter();
    let Some((old, today)) = agents.find(|(old, _)| *old == entry.value) else {
        return &entry.value;
    };
    let text = Text::new(format!("agent {} is one of Singularity 2", quoted(old)));
    let text = text.help(format!("write `{today}`"));
    report.outdated("outdated-agent", &entry.value_range, text);
    today
}
