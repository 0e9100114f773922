//! The agent that makes the base of a stage, and the keys it needs.

use secrecy::SecretString;

use super::diagnostic::{Report, Text, quoted};
use super::keys::Keys;
use super::old_keys;
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
];

/// The agent that makes the base, with its settings.
#[derive(Debug, Clone)]
pub enum Bootstrap {
    /// An image of a Docker or OCI registry.
    Docker(Docker),
    /// An image that `docker save` wrote: `PATH[:TAG]`.
    DockerArchive(StoredImage),
    /// An image of the Docker engine of this machine: `NAME[:TAG|@DIGEST]`.
    DockerDaemon(StoredImage),
    /// A folder in the OCI image layout: `FOLDER[@DIGEST]`.
    Oci(StoredImage),
    /// Such a folder as a tar archive: `FILE[:TAG]`.
    OciArchive(StoredImage),
    /// An image of a container library.
    Library(Library),
    /// A SIF image of an OCI registry.
    Oras(Oras),
    /// An image of a Singularity Hub, such as ours.
    Shub {
        /// `[HOST/]COLLECTION[:TAG|@VERSION]`.
        from: String,
    },
    /// An image or a folder on this machine.
    LocalImage(LocalImage),
    /// A Debian or Ubuntu, from its packages.
    Debootstrap(Debootstrap),
    /// A distribution of rpm packages, by dnf or yum.
    Yum(Yum),
    /// A SUSE, from its packages.
    Zypper(Box<Zypper>),
    /// An Arch Linux, from its packages.
    Arch(Arch),
    /// One program that is many.
    Busybox {
        /// Where that program is downloaded from.
        mirror_url: String,
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

/// An image in Docker's or OCI's format, outside of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Which one, as it was written.
    pub from: String,
    /// Whether the image's `CMD` is preferred over its `ENTRYPOINT`.
    pub include_cmd: bool,
}

/// Which image of which container library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The reference, as it was written.
    pub from: String,
    /// Address of the library, when it is not part of the reference.
    pub library: Option<String>,
    /// Who must have signed the image: fingerprints of PGP keys in hex.
    pub fingerprints: Vec<String>,
}

/// Which SIF image of which registry.
#[derive(Debug, Clone)]
pub struct Oras {
    /// The reference, as it was written.
    pub from: String,
    /// Who must have signed the image: fingerprints of PGP keys in hex.
    pub fingerprints: Vec<String>,
    /// The account at the registry.
    pub account: Option<Account>,
}

/// Which image or folder of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// Its path.
    pub from: String,
    /// Who must have signed the image: fingerprints of PGP keys in hex.
    pub fingerprints: Vec<String>,
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

/// Which distribution of rpm packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Yum {
    /// The release; stands for `%{OSVERSION}` in the addresses.
    pub os_version: Option<String>,
    /// The repository.
    pub mirror_url: String,
    /// The repository of updates.
    pub update_url: Option<String>,
    /// Packages besides the base.
    pub include: Vec<String>,
    /// Options of dnf, each `NAME=VALUE`.
    pub setopt: Vec<String>,
    /// Address of the key that signs the packages (Singularity 2).
    pub gpg: Option<String>,
}

/// Which SUSE: openSUSE by its mirrors, or SLE by its registration.
#[derive(Debug, Clone)]
pub struct Zypper {
    /// The release; stands for `%{OSVERSION}` in the addresses.
    pub os_version: Option<String>,
    /// The repository.
    pub mirror_url: Option<String>,
    /// The repository of updates.
    pub update_url: Option<String>,
    /// Further repositories, in the order of their numbers.
    pub other_urls: Vec<String>,
    /// Packages besides the base.
    pub include: Vec<String>,
    /// Which product of SLE.
    pub registration: Option<Registration>,
}

/// How a SLE is registered.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The product, such as `SLES`.
    pub product: String,
    /// The user.
    pub user: Option<String>,
    /// The code that was bought.
    pub regcode: Option<SecretString>,
    /// The key that signs the product.
    pub product_pgp: Option<String>,
    /// The server, when it is not SUSE's own.
    pub register_url: Option<String>,
    /// Modules of the product.
    pub modules: Vec<String>,
}

/// Which Arch Linux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arch {
    /// Address of the configuration of pacman, when it is not Arch's own.
    pub conf_url: Option<String>,
    /// Packages besides the base.
    pub include: Vec<String>,
}

/// The agent of a header.
pub(super) fn bootstrap(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Bootstrap> {
    let entry = keys.entry("bootstrap");
    let Some(entry) = entry.filter(|entry| !entry.value.is_empty()) else {
        if keys.is_broken {
            return None;
        }
        if keys.precede_bootstrap() {
            report_order(keys, report);
            return None;
        }
        let text = Text::new("header has no `Bootstrap`").help(
            "a definition begins with `Bootstrap: docker` and `From: …`, or another agent: \
             debootstrap, localimage, scratch",
        );
        report.error("missing-bootstrap", &keys.start(), text);
        return None;
    };
    let from = |report: &mut Report<'_>| keys.required("from", "From", report);
    let stored = |report: &mut Report<'_>| {
        Some(StoredImage {
            from: from(report)?,
            include_cmd: includes_cmd(keys),
        })
    };
    match old_keys::agent(entry, report) {
        "docker" => docker(keys, report).map(Bootstrap::Docker),
        "docker-archive" => stored(report).map(Bootstrap::DockerArchive),
        "docker-daemon" => stored(report).map(Bootstrap::DockerDaemon),
        "oci" => stored(report).map(Bootstrap::Oci),
        "oci-archive" => stored(report).map(Bootstrap::OciArchive),
        "library" => library(keys, report).map(Bootstrap::Library),
        "oras" => oras(keys, report).map(Bootstrap::Oras),
        "shub" => from(report).map(|from| Bootstrap::Shub { from }),
        "localimage" => from(report).map(|from| {
            let fingerprints = list(keys, "fingerprints");
            Bootstrap::LocalImage(LocalImage { from, fingerprints })
        }),
        "debootstrap" => debootstrap(keys, report).map(Bootstrap::Debootstrap),
        "yum" | "dnf" => yum(keys, report).map(Bootstrap::Yum),
        "zypper" => zypper(keys, report).map(|zypper| Bootstrap::Zypper(Box::new(zypper))),
        "arch" => Some(Bootstrap::Arch(arch(keys))),
        "busybox" => keys
            .required("mirrorurl", "MirrorURL", report)
            .map(|mirror_url| Bootstrap::Busybox { mirror_url }),
        "scratch" => Some(Bootstrap::Scratch),
        other => {
            report_agent(other, keys, report);
            None
        }
    }
}

fn report_order(keys: &Keys<'_>, report: &mut Report<'_>) {
    let text = Text::new("this line stands above `Bootstrap`, with which a stage begins")
        .help("move the line of `Bootstrap` to the top");
    report.outdated("header-above-bootstrap", &keys.start(), text);
}

fn report_agent(agent: &str, keys: &Keys<'_>, report: &mut Report<'_>) {
    let range = keys
        .entry("bootstrap")
        .map_or(0..0, |entry| entry.value_range.clone());
    let text = Text::new(format!("unknown agent {}", quoted(agent)));
    let help = if agent == "self" {
        "an image of the building machine itself is not made here: name a base".to_owned()
    } else {
        suggest::help(agent, AGENTS, "")
    };
    report.error("unknown-agent", &range, text.help(help));
}

fn docker(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Docker> {
    Some(Docker {
        from: keys.required("from", "From", report)?,
        registry: keys.value("registry").map(str::to_owned),
        namespace: keys.entry("namespace").map(|entry| entry.value.clone()),
        include_cmd: includes_cmd(keys),
        account: account(keys, report),
    })
}

/// Whether `IncludeCmd` has one of the words that Singularity 2 took for a yes.
fn includes_cmd(keys: &Keys<'_>) -> bool {
    let value = keys.value("includecmd").unwrap_or_default();
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

fn library(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Library> {
    Some(Library {
        from: keys.required("from", "From", report)?,
        library: keys.value("library").map(str::to_owned),
        fingerprints: list(keys, "fingerprints"),
    })
}

fn oras(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Oras> {
    Some(Oras {
        from: keys.required("from", "From", report)?,
        fingerprints: list(keys, "fingerprints"),
        account: account(keys, report),
    })
}

fn debootstrap(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Debootstrap> {
    let os_version = keys.required("osversion", "OSVersion", report);
    let mirror_url = keys.required("mirrorurl", "MirrorURL", report);
    Some(Debootstrap {
        os_version: os_version?,
        mirror_url: mirror_url?,
        include: list(keys, "include"),
    })
}

fn yum(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Yum> {
    let mirror_url = keys.required("mirrorurl", "MirrorURL", report);
    has_os_version(keys, report).then_some(())?;
    Some(Yum {
        os_version: keys.value("osversion").map(str::to_owned),
        mirror_url: mirror_url?,
        update_url: keys.value("updateurl").map(str::to_owned),
        include: list(keys, "include"),
        setopt: list(keys, "setopt"),
        gpg: keys.value("gpg").map(str::to_owned),
    })
}

fn zypper(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Zypper> {
    let registration = keys.value("product").map(|product| Registration {
        product: product.to_owned(),
        user: keys.value("user").map(str::to_owned),
        regcode: keys.value("regcode").map(SecretString::from),
        product_pgp: keys.value("productpgp").map(str::to_owned),
        register_url: keys.value("registerurl").map(str::to_owned),
        modules: list(keys, "modules"),
    });
    let mirror_url = if registration.is_none() {
        Some(keys.required("mirrorurl", "MirrorURL", report)?)
    } else {
        keys.value("mirrorurl").map(str::to_owned)
    };
    has_os_version(keys, report).then_some(())?;
    Some(Zypper {
        os_version: keys.value("osversion").map(str::to_owned),
        mirror_url,
        update_url: keys.value("updateurl").map(str::to_owned),
        other_urls: keys.numbered("otherurl"),
        include: list(keys, "include"),
        registration,
    })
}

fn arch(keys: &Keys<'_>) -> Arch {
    Arch {
        conf_url: keys.value("confurl").map(str::to_owned),
        include: list(keys, "include"),
    }
}

/// Whether there is a release where an address has a place for it.
fn has_os_version(keys: &Keys<'_>, report: &mut Report<'_>) -> bool {
    let urls = ["mirrorurl", "updateurl"].into_iter();
    let mut urls = urls.filter_map(|key| keys.value(key));
    let is_needed = urls.any(|url| url.to_uppercase().contains("%{OSVERSION}"));
    !is_needed || keys.required("osversion", "OSVersion", report).is_some()
}

/// The words of a value, between them spaces or commas.
fn list(keys: &Keys<'_>, key: &str) -> Vec<String> {
    let words = keys.value(key).unwrap_or_default();
    let words = words.split([' ', '\t', ',', '\n']);
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
