//! Where a registry is asked: at its mirror first, then at itself, over https or plain http.

use std::net::IpAddr;

use url::Url;

use super::Registries;
use super::reference::{Reference, is_same_registry};
use crate::error::Error;

/// A server that is asked for an image.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// Ends with a slash.
    pub(super) base: Url,
    pub(super) role: Role,
}

/// Whether credentials for the registry are for this server too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Registry,
    Mirror,
}

/// The servers to ask for an image, in order.
pub(super) fn endpoints(
    registries: &Registries,
    reference: &Reference,
) -> Result<Vec<Endpoint>, Error> {
    let registry = reference.registry();
    let mirrors = registries
        .mirrors
        .iter()
        .filter(|(name, _)| is_same_registry(name, registry));
    let mut found = Vec::new();
    for (_, mirror) in mirrors {
        found.push(Endpoint {
            base: base_url(mirror)?,
            role: Role::Mirror,
        });
    }
    let scheme = if registries.is_plain_http(registry) {
        "http"
    } else {
        "https"
    };
    let base = base_url(&format!("{scheme}://{registry}"))?;
    found.push(Endpoint {
        base,
        role: Role::Registry,
    });
    Ok(found)
}

impl Endpoint {
    /// The host with its port, for messages.
    pub(super) fn host(&self) -> String {
        authority(&self.base)
    }

    /// Whether a URL leads to this server and may have its authorization.
    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }
}

impl Registries {
    fn is_plain_http(&self, registry: &str) -> bool {
        let Ok(url) = Url::parse(&format!("http://{registry}/")) else {
            return false;
        };
        let host = url.host_str().unwrap_or_default();
        let listed = |name: &String| name == registry || name == host;
        is_loopback(host) || self.plain_http.iter().any(listed)
    }
}

/// The host of a URL, with its port where that is not the usual one.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn base_url(text: &str) -> Result<Url, Error> {
    let text = if text.ends_with('/') {
        text.to_owned()
    } else {
        format!("{text}/")
    };
    let url = Url::parse(&text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| Error::Base {
        message: format!("`{text}` is not a URL of a registry"),
        help: Some("a mirror is like `http://127.0.0.1:5000`".to_owned()),
    })
}
