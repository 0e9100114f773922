//! What a URI of a base says as a definition.

use anyhow::bail;

/// The agents whose bases have URIs; a definition may name others.
const AGENTS: [&str; 8] = [
    "docker",
    "docker-archive",
    "docker-daemon",
    "oci",
    "oci-archive",
    "library",
    "shub",
    "oras",
];

/// The shortest definition that has the base of a URI (`docker://ubuntu`, `oci-archive:FILE`).
pub(crate) fn definition_of(uri: &str) -> anyhow::Result<String> {
    let known = AGENTS.join(", ");
    let Some((agent, from)) = uri.split_once(':') else {
        bail!("{uri} is no URI; one is docker://ubuntu:latest, or begins with another of {known}");
    };
    if !AGENTS.contains(&agent) {
        bail!("unsupported URI {uri}: it may begin with one of {known}");
    }
    let from = from.strip_prefix("//").unwrap_or(from);
    if from.is_empty() || from.contains(['\n', '\r']) {
        bail!("{uri} names no image");
    }
    Ok(format!("Bootstrap: {agent}\nFrom: {from}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_a_header_of_two_lines() {
        let of = |uri: &str| definition_of(uri).unwrap();

        assert_eq!(
            of("docker://ubuntu:22.04"),
            "Bootstrap: docker\nFrom: ubuntu:22.04\n"
        );
        assert_eq!(
            of("docker-archive:/a/b.tar"),
            "Bootstrap: docker-archive\nFrom: /a/b.tar\n"
        );
    }

    #[test]
    fn what_is_no_uri_is_refused_with_those_that_are() {
        for uri in ["ubuntu", "ftp://x/y", "docker://", "docker://a\n%post"] {
            assert!(definition_of(uri).is_err(), "{uri}");
        }
        let told = definition_of("ftp://x/y").unwrap_err().to_string();
        assert!(
            told.contains("ftp://x/y") && told.contains("docker"),
            "{told}"
        );
    }
}
