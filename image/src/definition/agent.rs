//! The agent that makes the base of a stage, and the keys it needs.

use secrecy::SecretString;

use super::diagnostic::{Report, Text, quoted};
use super::keys::Keys;
use super::suggest;

const AGENTS: &[&str] = &[
    "docker",
    "debootstrap",
    "scratch",
    "localimage",
    "library",
    "oras",
    "shub",
    "docker-archive",
    "docker-daemon",
    "oci",
    "oci-archive",
    "yum",
    "dnf",
    "zypper",
    "arch",
    "busybox",
    "self",
];

const SUPPORTED_AGENTS: &str = "docker, debootstrap, localimage and scratch";

/// The agent that makes the base, with its settings.
#[derive(Debug, Clone)]
pub enum Bootstrap {
    /// An image of a Docker or OCI registry.
    Docker(Docker),
    /// A Debian or Ubuntu, from its packages.
    Debootstrap(Debootstrap),
    /// An image or a folder on this machine.
    LocalImage {
        /// Its path.
        from: String,
    },
    /// Nothing at all.
    Scratch,
}

/// Which image of which registry.
#[derive(Debug, Clone)]
pub struct Docker {
    /// The reference, as it was written.
    pub from: String,
    /// The registry, when it is not part of the reference.
    pub registry: Option<String>,
    /// The namespace, when it is not part of the reference; an empty one means none.
    pub namespace: Option<String>,
    /// Whether the image's `CMD` is preferred over its `ENTRYPOINT`.
    pub include_cmd: bool,
    /// The account at the registry.
    pub account: Option<Account>,
}

/// An account at a registry.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user's name.
    pub username: SecretString,
    /// The password.
    pub password: SecretString,
}

/// Which release from which mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debootstrap {
    /// The release, such as `bookworm`.
    pub os_version: String,
    /// The mirror.
    pub mirror_url: String,
    /// Packages besides the base.
    pub include: Vec<String>,
}

/// The agent of a header.
pub(super) fn bootstrap(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Bootstrap> {
    let Some(agent) = keys.value("bootstrap") else {
        if keys.is_broken {
            return None;
        }
        let text = Text::new("header has no `Bootstrap`").help(
            "a definition begins with `Bootstrap: docker` and `From: …`, or another agent: \
             debootstrap, localimage, scratch",
        );
        report.error("missing-bootstrap", &keys.start(), text);
        return None;
    };
    match agent {
        "docker" => docker(keys, report).map(Bootstrap::Docker),
        "debootstrap" => debootstrap(keys, report).map(Bootstrap::Debootstrap),
        "localimage" => keys
            .required("from", "From", report)
            .map(|from| Bootstrap::LocalImage { from }),
        "scratch" => Some(Bootstrap::Scratch),
        other => {
            report_agent(other, keys, report);
            None
        }
    }
}

fn report_agent(agent: &str, keys: &Keys<'_>, report: &mut Report<'_>) {
    let range = keys
        .entry("bootstrap")
        .map_or(0..0, |entry| entry.value_range.clone());
    if AGENTS.contains(&agent) {
        let text = Text::new(format!("agent {} is not supported", quoted(agent)))
            .help(format!("supported are {SUPPORTED_AGENTS}"));
        report.error("unsupported-agent", &range, text);
    } else {
        let text = Text::new(format!("unknown agent {}", quoted(agent)))
            .help(suggest::help(agent, AGENTS, ""));
        report.error("unknown-agent", &range, text);
    }
}

fn docker(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Docker> {
    Some(Docker {
        from: keys.required("from", "From", report)?,
        registry: keys.value("registry").map(str::to_owned),
        namespace: keys.entry("namespace").map(|entry| entry.value.clone()),
        include_cmd: keys.value("includecmd").is_some_and(is_true),
        account: account(keys, report),
    })
}

/// The words that Singularity 2 took for a yes.
fn is_true(value: &str) -> bool {
    matches!(
        value.to_lowercase().as_str(),
        "yes" | "true" | "t" | "1" | "y"
    )
}

fn account(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Account> {
    let secret = |key| keys.value(key).map(SecretString::from);
    match (secret("username"), secret("password")) {
        (Some(username), Some(password)) => Some(Account { username, password }),
        (None, None) => None,
        (username, _) => {
            let (there, missing) = match username {
                Some(_) => ("username", "Password"),
                None => ("password", "Username"),
            };
            let range = keys
                .entry(there)
                .map_or(0..0, |entry| entry.key_range.clone());
            let text = Text::new(format!("header has no `{missing}` for its `{there}`"))
                .help("an account needs both; it is not used");
            report.warning("incomplete-account", &range, text);
            None
        }
    }
}

fn debootstrap(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Debootstrap> {
    let os_version = keys.required("osversion", "OSVersion", report);
    let mirror_url = keys.required("mirrorurl", "MirrorURL", report);
    let include = keys.value("include").unwrap_or_default();
    let include = include
        .split([' ', '\t', ',', '\n'])
        .filter(|name| !name.is_empty());
    Some(Debootstrap {
        os_version: os_version?,
        mirror_url: mirror_url?,
        include: include.map(str::to_owned).collect(),
    })
}
