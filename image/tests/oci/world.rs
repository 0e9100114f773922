//! An image, registries that have it, and how it is fetched.

use std::path::Path;

use base64::Engine as _;
use cooperage_image::oci::{
    self, Accounts, Credentials, Digest, Fetch, FetchedImage, Platform, Reference, Registries,
};
use cooperage_image::{Cancel, Error};

use crate::server::{Answer, Request, Server, answer};

pub(crate) const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image of one layer.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) layer: Vec<u8>,
}

pub(crate) fn image() -> Image {
    let layer: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let diff_id = Digest::of(&layer);
    let config = format!(r#"{{"architecture":"amd64","rootfs":{{"diff_ids":["{diff_id}"]}}}}"#);
    let manifest = format!(
        r#"{{"schemaVersion":2,
            "config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},
            "layers":[{{"mediaType":"{LAYER_TYPE}","digest":"{diff_id}","size":{}}}]}}"#,
        Digest::of(config.as_bytes()),
        config.len(),
        layer.len(),
    );
    Image {
        manifest: manifest.into(),
        config: config.into(),
        layer,
    }
}

impl Image {
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        let layer = format!("/v2/team/app/blobs/{}", Digest::of(&self.layer));
        let config = format!("/v2/team/app/blobs/{}", Digest::of(&self.config));
        match request.path.as_str() {
            "/v2/team/app/manifests/1" => answer(200, self.manifest.clone()),
            path if path == layer => answer(200, self.layer.clone()),
            path if path == config => answer(200, self.config.clone()),
            _ => answer(
                404,
                r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such thing"}]}"#,
            ),
        }
    }
}

pub(crate) fn fetch(host: &str, accounts: &Accounts, cache: &Path) -> Result<FetchedImage, Error> {
    fetch_with(
        &format!("{host}/team/app:1"),
        &Registries::default(),
        accounts,
        cache,
    )
}

pub(crate) fn fetch_with(
    reference: &str,
    registries: &Registries,
    accounts: &Accounts,
    cache: &Path,
) -> Result<FetchedImage, Error> {
    let reference: Reference = reference.parse().unwrap();
    let platform: Platform = "amd64".parse().unwrap();
    let wanted = Fetch {
        reference: &reference,
        platform: &platform,
        registries,
        accounts,
        cache,
        most_bytes: None,
    };
    oci::fetch(&wanted, &|_| {}, &Cancel::default())
}

pub(crate) fn account(password: &str) -> Accounts {
    let given = Credentials {
        account: Some(("tester".to_owned(), password.into())),
        source: None,
    };
    Accounts {
        given,
        ..Accounts::default()
    }
}

pub(crate) fn basic(password: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("tester:{password}"));
    format!("Basic {pair}")
}

/// A registry that wants a token, and gives one for the right password.
pub(crate) fn token_registry() -> Server {
    let image = image();
    Server::start(move |request, _| {
        let realm = format!("http://{}/token", request.header("host"));
        let scope = "scope=repository%3Ateam%2Fapp%3Apull";
        if request.path.starts_with("/token") {
            let is_right = request.header("authorization") == basic("s3cret");
            return if is_right && request.path.contains(scope) {
                answer(200, r#"{"token":"abc"}"#)
            } else {
                answer(401, r#"{"errors":[{"message":"wrong password"}]}"#)
            };
        }
        if request.header("authorization") == "Bearer abc" {
            return image.answer(request);
        }
        let challenge =
            format!(r#"Bearer realm="{realm}",service="test",scope="repository:team/app:pull""#);
        answer(401, "").with("WWW-Authenticate", challenge)
    })
}

/// A registry that has a document under the tag `1`, and contents under their digests.
pub(crate) fn registry(document: impl Into<Vec<u8>>, contents: &[&[u8]]) -> Server {
    let document = document.into();
    let contents: Vec<Vec<u8>> = contents.iter().map(|it| it.to_vec()).collect();
    Server::start(move |request, _| {
        let name = request.path.rsplit('/').next().unwrap_or_default();
        let has_name = |content: &&Vec<u8>| Digest::of(content).to_string() == name;
        match contents.iter().find(has_name) {
            _ if name == "1" => answer(200, document.clone()),
            Some(content) => answer(200, content.clone()),
            None => answer(404, r#"{"errors":[{"message":"no such thing"}]}"#),
        }
    })
}

/// The descriptor of a content, with more fields after a comma.
pub(crate) fn descriptor(media_type: &str, content: &[u8], more: &str) -> String {
    let (digest, size) = (Digest::of(content), content.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{more}}}"#)
}

/// A manifest of a configuration and one layer.
pub(crate) fn manifest(config: &str, layer: &str) -> String {
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#)
}
