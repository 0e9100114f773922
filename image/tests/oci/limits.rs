//! What a registry may make us take.

use cooperage_image::oci::{self, Accounts, Digest, Fetch, Platform, Reference, Registries};
use cooperage_image::{Cancel, Error, FailureKind};

use crate::server::{Answer, End, Server, answer};
use crate::world::{LAYER_TYPE, descriptor, fetch, manifest};

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const MOST: u64 = 1 << 20;

/// What comes of an image with a limit; nothing that it began may be left.
fn fetch_limited(server: &Server) -> Error {
    let reference: Reference = format!("{}/team/app:1", server.host).parse().unwrap();
    let platform: Platform = "amd64".parse().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let wanted = Fetch {
        reference: &reference,
        platform: &platform,
        registries: &Registries::default(),
        accounts: &Accounts::default(),
        cache: cache.path(),
        most_bytes: Some(MOST),
    };
    let error = oci::fetch(&wanted, &|_| {}, &Cancel::default()).unwrap_err();
    let left = std::fs::read_dir(cache.path().join("blobs/sha256")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    let config = Digest::of(b"{}").to_string();
    assert!(
        left.iter()
            .all(|name| config.ends_with(name.to_str().unwrap())),
        "{left:?}"
    );
    error
}

fn endless() -> Answer {
    Answer {
        end: End::Endless,
        ..answer(200, vec![7; 64 << 10])
    }
}

fn serve(document: String) -> Server {
    let config = Digest::of(b"{}").to_string();
    Server::start(move |request, _| match request.path.as_str() {
        "/v2/team/app/manifests/1" => answer(200, document.clone()),
        path if path.ends_with(&config) => answer(200, "{}"),
        _ => endless(),
    })
}

#[test]
fn a_layer_without_end_ends_at_the_disk_limit() {
    let (layer, size) = (descriptor(LAYER_TYPE, b"layer", ""), r#""size":"#);
    let lying = layer.replace(&format!("{size}5"), &format!("{size}{MOST}"));
    let huge = layer.replace(&format!("{size}5"), &format!("{size}{}", 1_u64 << 60));
    let config = descriptor(CONFIG_TYPE, b"{}", "");
    let old = format!(
        r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{}"}}],"history":[{{"v1Compatibility":"{{}}"}}]}}"#,
        Digest::of(b"layer")
    );

    for document in [old, manifest(&config, &lying), manifest(&config, &huge)] {
        let error = fetch_limited(&serve(document));

        assert_eq!(error.kind(), FailureKind::Disk, "{error}");
        let expected = format!("disk limit of {MOST} bytes");
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn layers_share_the_limit() {
    let first = vec![1; 700_000];
    let second = vec![2; 700_000];
    let layers = [&first, &second].map(|layer| descriptor(LAYER_TYPE, layer, ""));
    let document = manifest(&descriptor(CONFIG_TYPE, b"{}", ""), &layers.join(","));
    let server = crate::world::registry(document, &[b"{}", &first, &second]);
    let reference: Reference = format!("{}/team/app:1", server.host).parse().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let platform: Platform = "amd64".parse().unwrap();
    let (registries, accounts) = (Registries::default(), Accounts::default());
    let wanted = Fetch {
        reference: &reference,
        platform: &platform,
        registries: &registries,
        accounts: &accounts,
        cache: cache.path(),
        most_bytes: Some(MOST),
    };

    let error = oci::fetch(&wanted, &|_| {}, &Cancel::default()).unwrap_err();

    assert_eq!(error.kind(), FailureKind::Disk, "{error}");
    let enough = Fetch {
        most_bytes: Some(2 * MOST),
        ..wanted
    };
    oci::fetch(&enough, &|_| {}, &Cancel::default()).unwrap();
}

#[test]
fn a_manifest_without_end_is_refused() {
    let server = Server::start(|_, _| endless());
    let cache = tempfile::tempdir().unwrap();

    let error = fetch(&server.host, &Accounts::default(), cache.path()).unwrap_err();

    assert!(error.to_string().contains("more than 8 MiB"), "{error}");
}

#[test]
fn a_token_and_a_reason_without_end_are_cut_off() {
    let server = Server::start(|request, _| {
        let realm = format!("http://{}/token", request.header("host"));
        if request.path.starts_with("/token") {
            return endless();
        }
        let refused = Answer {
            status: 401,
            ..endless()
        };
        refused.with("WWW-Authenticate", format!(r#"Bearer realm="{realm}""#))
    });
    let cache = tempfile::tempdir().unwrap();

    let error = fetch(&server.host, &Accounts::default(), cache.path()).unwrap_err();

    assert!(error.to_string().contains("sent no token"), "{error}");
}
