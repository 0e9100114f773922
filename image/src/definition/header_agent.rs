//! Which agent does a header name, and what do its keys tell it?

use secrecy::SecretString;

use super::agent::{
    Account, Arch, Bootstrap, Debootstrap, Docker, Library, LocalImage, Oras, Registration,
    StoredImage, Yum, Zypper,
};
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
