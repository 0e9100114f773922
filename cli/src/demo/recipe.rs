//! The demo's definitions: one that needs a Debian mirror only, and one from Docker Hub.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::config::RegistryArgs;

/// What a registry may answer with; without it some hide what they have.
/// <https://distribution.github.io/distribution/spec/api/#pulling-an-image-manifest>
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// Where the registry of Docker Hub answers.
const DOCKER_HUB: &str = "https://registry-1.docker.io";

/// A definition by its path in the repository.
pub(super) type Recipe = (&'static str, String);

/// The definitions that can be built on this machine.
pub(super) fn recipes(push: usize, registries: &RegistryArgs) -> anyhow::Result<Vec<Recipe>> {
    let mut recipes = vec![("Singularity", debian(&Release::of_this_machine()?, push))];
    match docker_hub_answers(registries) {
        Ok(()) => recipes.push(("Singularity.docker", docker(push))),
        Err(reason) => super::step(&format!("leaving out the recipe from Docker Hub: {reason}")),
    }
    Ok(recipes)
}

/// A release of Debian or its kin, and a mirror that has it.
#[derive(Debug, PartialEq, Eq)]
struct Release {
    codename: String,
    mirror: String,
}

impl Release {
    /// The release this machine runs, from the mirror it uses itself.
    fn of_this_machine() -> anyhow::Result<Self> {
        Self::from_apt().context(
            "apt of this machine has no mirror of its own release, which the demo would build \
             from; add one to /etc/apt/sources.list and run apt-get update",
        )
    }

    fn from_apt() -> Option<Self> {
        let system = std::fs::read_to_string("/etc/os-release").ok()?;
        let mut targets = Command::new("apt-get");
        targets.args([
            "indextargets",
            "--format",
            "$(SITE) $(RELEASE)",
            "Created-By: Packages",
        ]);
        let output = targets.output().ok()?;
        Self::find(&system, &String::from_utf8_lossy(&output.stdout))
    }

    fn find(system: &str, targets: &str) -> Option<Self> {
        let codename = system
            .lines()
            .find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
        let codename = codename.trim_matches('"');
        let is_usable = |site: &str| site.starts_with("http://") || site.starts_with("https://");
        let mirror = targets.lines().find_map(|line| {
            let (site, release) = line.split_once(' ')?;
            (release == codename && is_usable(site)).then(|| site.trim_end_matches('/'))
        })?;
        Some(Self {
            codename: codename.to_owned(),
            mirror: mirror.to_owned(),
        })
    }
}

fn debian(release: &Release, push: usize) -> String {
    let Release { codename, mirror } = release;
    format!(
        "\
Bootstrap: debootstrap
OSVersion: {codename}
MirrorURL: {mirror}

{}",
        sections(push)
    )
}

fn docker(push: usize) -> String {
    format!(
        "\
Bootstrap: docker
From: alpine

{}",
        sections(push)
    )
}

fn sections(push: usize) -> String {
    format!(
        "\
%help
    Says hello, and from which system.

%labels
    org.opencontainers.image.title hello
    demo.push {push}

%environment
    export GREETING=\"Hello from Cooperage\"

%post
    echo \"push number {push}\" > /etc/hello

%runscript
    . /etc/os-release
    echo \"$GREETING, $(cat /etc/hello), on $PRETTY_NAME\"

%test
    grep -q 'push number {push}' /etc/hello
"
    )
}

fn docker_hub_answers(registries: &RegistryArgs) -> Result<(), String> {
    let mirror = registries
        .mirrors
        .iter()
        .find(|(name, _)| name == "docker.io");
    let base = mirror.map_or(DOCKER_HUB, |(_, url)| url.as_str());
    let client = reqwest::blocking::Client::builder()
        .timeout(Duration::from_secs(8))
        .build()
        .map_err(|error| error.to_string())?;
    let manifest = client.get(format!("{base}/v2/library/alpine/manifests/latest"));
    let answer = manifest.header("Accept", MANIFESTS).send();
    let answer = answer.map_err(|_| format!("{base} cannot be reached"))?;
    match answer.status().as_u16() {
        // Docker Hub wants a token even of those who may read.
        200 | 401 => Ok(()),
        404 => Err(format!("{base} has no alpine")),
        status => Err(format!("{base} answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_one_that_has_the_machines_own_release() {
        let system = "ID=debian\nVERSION_CODENAME=bookworm\n";
        let targets = "http://mirror.example/security bookworm-security\n\
                       cdrom://disc bookworm\n\
                       http://mirror.example/debian/ bookworm\n";

        let release = Release::find(system, targets).unwrap();

        assert_eq!(release.codename, "bookworm");
        assert_eq!(release.mirror, "http://mirror.example/debian");
        assert_eq!(Release::find(system, ""), None);
    }
}
