//! Which image a `From` value or a `docker://` URI names.

use std::fmt;
use std::str::FromStr;

use super::digest::Digest;

/// The registry that names without one belong to.
pub(super) const DOCKER_HUB: &str = "index.docker.io";

/// The full name of an image: registry, repository, and tag or digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    version: Version,
}

/// Which of a repository's images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// What a name points to now.
    Tag(String),
    /// What has this digest, for ever.
    Digest(Digest),
}

/// Why a text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {reason}")]
pub struct ReferenceError {
    text: String,
    reason: String,
}

impl Reference {
    /// Reads the value of `From` with the `Registry` and `Namespace` headers put before it, unless
    /// it begins with that registry itself: then it is complete.
    pub fn from_headers<'a>(
        from: &'a str,
        registry: Option<&'a str>,
        namespace: Option<&'a str>,
    ) -> Result<Self, ReferenceError> {
        let header = |value: Option<&'a str>| {
            let value = value.map(|value| without_scheme(value.trim()).trim_matches('/'));
            value.filter(|value| !value.is_empty())
        };
        let from = without_scheme(from.trim()).trim_start_matches('/');
        let registry = header(registry);
        if let Some(registry) = registry.filter(|registry| names_registry(from, registry)) {
            return parse(from, Some(registry));
        }
        let parts: Vec<&str> = [registry, header(namespace), Some(from)]
            .into_iter()
            .flatten()
            .collect();
        parse(&parts.join("/"), registry)
    }

    /// The registry's host, with its port if it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository, namespace included.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag or digest.
    pub fn version(&self) -> &Version {
        &self.version
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(without_scheme(text.trim()).trim_start_matches('/'), None)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match &self.version {
            Version::Tag(tag) => write!(f, ":{tag}"),
            Version::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

impl Version {
    /// Whether it names content, and not what a tag points to now.
    pub(super) fn is_digest(&self) -> bool {
        matches!(self, Self::Digest(_))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// Whether two names mean the same registry: the Hub has several.
pub(super) fn is_same_registry(one: &str, other: &str) -> bool {
    canonical_registry(one) == canonical_registry(other)
}

fn canonical_registry(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => DOCKER_HUB.to_owned(),
        _ => name,
    }
}

/// Whether a name begins with a registry's host. A word without dot or port may as well be the
/// first part of a repository.
fn names_registry(name: &str, registry: &str) -> bool {
    let is_host = registry.contains(['.', ':']) || registry.eq_ignore_ascii_case("localhost");
    let rest = name.strip_prefix(registry);
    is_host && rest.is_some_and(|rest| rest.starts_with('/'))
}

fn without_scheme(text: &str) -> &str {
    let schemes = ["docker://", "oras://", "http://", "https://"];
    schemes
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .unwrap_or(text)
}

/// `given` is the value of a `Registry` header: it is a registry whatever it looks like.
fn parse(text: &str, given: Option<&str>) -> Result<Reference, ReferenceError> {
    let error = |reason: &str| ReferenceError {
        text: text.to_owned(),
        reason: reason.to_owned(),
    };
    if text.is_empty() {
        return Err(error("it is empty; it should be like `ubuntu:22.04`"));
    }
    let (name, version) = split_version(text).map_err(|reason| error(&reason))?;
    let (registry, path) = split_registry(name, given);
    let registry = canonical_registry(registry.unwrap_or(DOCKER_HUB));
    let is_official = registry == DOCKER_HUB && !path.contains('/');
    let repository = if is_official {
        format!("library/{path}")
    } else {
        path.to_owned()
    };
    check_registry(&registry).map_err(|reason| error(&reason))?;
    check_repository(&repository).map_err(|reason| error(&reason))?;
    Ok(Reference {
        registry,
        repository,
        version,
    })
}

/// A digest wins over a tag before it, as everywhere.
fn split_version(text: &str) -> Result<(&str, Version), String> {
    if let Some((name, digest)) = text.split_once('@') {
        let version = Version::Digest(digest.parse()?);
        return Ok((split_tag(name).0, version));
    }
    let (name, tag) = split_tag(text);
    let tag = tag.unwrap_or("latest");
    check_tag(tag)?;
    Ok((name, Version::Tag(tag.to_owned())))
}

fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// The first component is a registry if it looks like a host: it has a dot or a port, or is
/// `localhost`.
fn split_registry<'a>(name: &'a str, given: Option<&'a str>) -> (Option<&'a str>, &'a str) {
    if let Some(given) = given.filter(|given| !given.contains('/'))
        && let Some(path) = name
            .strip_prefix(given)
            .and_then(|rest| rest.strip_prefix('/'))
    {
        return (Some(given), path);
    }
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first.eq_ignore_ascii_case("localhost") =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

fn check_registry(registry: &str) -> Result<(), String> {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if registry.bytes().all(is_host) && url::Url::parse(&format!("https://{registry}/")).is_ok() {
        return Ok(());
    }
    Err(format!(
        "`{registry}` is not a host; it should be like `ghcr.io` or `localhost:5000`"
    ))
}

fn check_repository(repository: &str) -> Result<(), String> {
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("repository `{repository}` should be in lower case"));
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_component = |part: &str| {
        part.bytes().all(is_allowed) && part.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    if repository.len() <= 255 && repository.split('/').all(is_component) {
        return Ok(());
    }
    let allowed = "lower-case letters, digits, `.`, `_`, `-`, and `/` between parts";
    Err(format!(
        "repository `{repository}` should have only {allowed}"
    ))
}

fn check_tag(tag: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=128).contains(&tag.len()) && tag.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(format!(
        "tag `{tag}` should have 1 to 128 letters, digits, `.`, `_` and `-`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:b5b2b2c507a0944348e0303114d8d93aaaa081732b86451d9bce1f432a537bc7";

    fn full(text: &str) -> String {
        text.parse::<Reference>().unwrap().to_string()
    }

    #[test]
    fn missing_parts_get_the_defaults_of_the_hub() {
        assert_eq!(full("ubuntu"), "index.docker.io/library/ubuntu:latest");
        assert_eq!(
            full("docker://ubuntu:22.04"),
            "index.docker.io/library/ubuntu:22.04"
        );
        assert_eq!(
            full("docker.io/library/ubuntu"),
            "index.docker.io/library/ubuntu:latest"
        );
        assert_eq!(full("vanessa/code"), "index.docker.io/vanessa/code:latest");
        assert_eq!(full("//ubuntu"), "index.docker.io/library/ubuntu:latest");
    }

    #[test]
    fn a_digest_replaces_the_tag() {
        let expected = format!("index.docker.io/library/ubuntu@{DIGEST}");

        assert_eq!(full(&format!("ubuntu@{DIGEST}")), expected);
        assert_eq!(full(&format!("docker://ubuntu:22.04@{DIGEST}")), expected);
    }

    #[test]
    fn the_first_part_is_a_registry_only_if_it_looks_like_a_host() {
        assert_eq!(full("ghcr.io/x"), "ghcr.io/x:latest");
        assert_eq!(full("localhost/x:1"), "localhost/x:1");
        assert_eq!(full("127.0.0.1:5000/a/b"), "127.0.0.1:5000/a/b:latest");
        assert_eq!(full("a/b/c"), "index.docker.io/a/b/c:latest");
    }

    #[test]
    fn headers_are_put_before_the_name() {
        let with = |from, registry, namespace| {
            Reference::from_headers(from, registry, namespace)
                .unwrap()
                .to_string()
        };

        assert_eq!(
            with("my-busybox", Some("localhost:5000"), None),
            "localhost:5000/my-busybox:latest"
        );
        assert_eq!(
            with("b:1", Some("http://registry"), Some("ns")),
            "registry/ns/b:1"
        );
        assert_eq!(with("b", None, Some("ns")), "index.docker.io/ns/b:latest");
        assert_eq!(
            with("ubuntu", Some("index.docker.io"), None),
            "index.docker.io/library/ubuntu:latest"
        );
    }

    #[test]
    fn a_name_that_repeats_the_registry_is_complete() {
        let with = |from, registry, namespace| {
            Reference::from_headers(from, Some(registry), namespace)
                .unwrap()
                .to_string()
        };

        assert_eq!(
            with("localhost:5000/ns/b:1", "http://localhost:5000", None),
            "localhost:5000/ns/b:1"
        );
        assert_eq!(
            with("ghcr.io/a/b", "ghcr.io/", Some("a")),
            "ghcr.io/a/b:latest"
        );
        assert_eq!(
            with("ghcr.io.example/b", "ghcr.io", None),
            "ghcr.io/ghcr.io.example/b:latest"
        );
        assert_eq!(
            with("registry/b", "registry", None),
            "registry/registry/b:latest"
        );
    }

    #[test]
    fn what_is_no_reference_is_refused_with_what_would_be_right() {
        let reason = |text: &str| text.parse::<Reference>().unwrap_err().to_string();

        assert!(reason("").contains("should be like `ubuntu:22.04`"));
        assert!(reason("Ubuntu").contains("lower case"));
        assert!(reason("ubuntu@sha256:12").contains("64 hexadecimal digits"));
        assert!(reason("ubuntu:").contains("1 to 128"));
        assert!(reason("a//b").contains("should have only"));
        assert!(reason("a/../b").contains("should have only"));
        assert!(reason("ub untu").contains("should have only"));
    }
}
