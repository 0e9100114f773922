//! Manifests in all their forms, and what does not agree with itself.

use cooperage_image::Error;
use cooperage_image::oci::{Accounts, Digest, FetchedImage};

use crate::server::{Server, answer};
use crate::world::{LAYER_TYPE, descriptor, fetch, image, manifest, registry};

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

fn fetched(server: &Server) -> Result<(FetchedImage, Vec<Vec<u8>>), Error> {
    let cache = tempfile::tempdir().unwrap();
    let image = fetch(&server.host, &Accounts::default(), cache.path())?;
    let layers = image.layers.iter();
    let layers = layers.map(|layer| std::fs::read(&layer.path).unwrap());
    Ok((image.clone(), layers.collect()))
}

/// The error of an image, after which nothing but whole content is in the cache.
fn refused(server: &Server) -> String {
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&server.host, &Accounts::default(), cache.path()).unwrap_err();
    assert!(matches!(error, Error::Base { .. }), "{error:?}");
    for entry in std::fs::read_dir(cache.path().join("blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        let digest = Digest::of(&std::fs::read(entry.path()).unwrap());
        let name = entry.file_name().into_string().unwrap();
        assert_eq!(digest.to_string(), format!("sha256:{name}"));
    }
    error.to_string()
}

#[test]
fn a_manifest_of_the_first_schema_gives_its_layers_and_configuration() {
    let (base, top) = (b"base".as_slice(), b"top".as_slice());
    let (below, above) = (Digest::of(base), Digest::of(top));
    let document = format!(
        r#"{{"schemaVersion":1,"name":"team/app","tag":"1","architecture":"amd64",
            "fsLayers":[{{"blobSum":"{above}"}},{{"blobSum":"{above}"}},{{"blobSum":"{below}"}}],
            "history":[
              {{"v1Compatibility":"{{\"config\":{{\"Env\":[\"A=1\"],\"Cmd\":[\"top\"]}}}}"}},
              {{"v1Compatibility":"{{\"throwaway\":true}}"}},
              {{"v1Compatibility":"{{\"config\":{{\"Cmd\":[\"below\"]}}}}"}}]}}"#
    );
    let server = registry(document, &[base, top]);

    let (image, layers) = fetched(&server).unwrap();

    assert_eq!(layers, [base, top]);
    assert_eq!(image.config.cmd.unwrap(), ["top"]);
    assert_eq!(image.config.env.unwrap(), ["A=1"]);
    assert_eq!(server.count("/blobs/"), 2, "it tells no configuration");
}

#[test]
fn content_in_a_descriptor_is_not_asked_for() {
    let layer = b"layer";
    let config = descriptor(CONFIG_TYPE, b"{}", r#","data":"e30=""#);
    let layer_of = descriptor(LAYER_TYPE, layer, r#","data":"bGF5ZXI=""#);
    let server = registry(manifest(&config, &layer_of), &[]);

    let (_, layers) = fetched(&server).unwrap();

    assert_eq!(layers, [layer]);
    assert_eq!(server.count("/blobs/"), 0);
}

#[test]
fn content_in_a_descriptor_with_another_digest_is_refused() {
    let config = descriptor(CONFIG_TYPE, b"{}", r#","data":"e30g""#);
    let server = registry(
        manifest(&config, &descriptor(LAYER_TYPE, b"l", "")),
        &[b"l"],
    );

    let error = refused(&server);

    assert!(error.contains("not the digest beside it"), "{error}");
}

#[test]
fn attestations_beside_an_image_are_passed_over() {
    let image = image();
    let attestation = descriptor(
        MANIFEST_TYPE,
        b"attestation",
        r#","platform":{"os":"unknown","architecture":"unknown"},
            "annotations":{"vnd.docker.reference.type":"attestation-manifest"}"#,
    );
    let platform = r#","platform":{"os":"linux","architecture":"amd64"}"#;
    let entry = descriptor(MANIFEST_TYPE, &image.manifest, platform);
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{attestation},{entry}]}}"#);
    let server = registry(index, &[&image.manifest, &image.config, &image.layer]);

    let (found, layers) = fetched(&server).unwrap();

    assert_eq!(layers, [image.layer]);
    let digest = Digest::of(&image.manifest).to_string();
    assert_eq!(found.manifest_digest, digest);
}

#[test]
fn a_manifest_that_is_not_what_its_index_names_is_refused() {
    let image = image();
    let entry = descriptor(MANIFEST_TYPE, b"another", "");
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#);
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/v2/team/app/manifests/1" => answer(200, index.clone()),
        _ => answer(200, image.manifest.clone()),
    });
    let cache = tempfile::tempdir().unwrap();

    let error = fetch(&server.host, &Accounts::default(), cache.path()).unwrap_err();

    let error = error.to_string();
    assert!(error.contains("sent content with the digest"), "{error}");
}

#[test]
fn content_that_is_longer_or_shorter_than_announced_is_refused() {
    for (size, message) in [(3, "more than it announced"), (300, "connection broke")] {
        let size_of = |it: String| it.replace(r#""size":5"#, &format!(r#""size":{size}"#));
        let config = descriptor(CONFIG_TYPE, b"{}", "");
        let layer = size_of(descriptor(LAYER_TYPE, b"layer", ""));
        let server = registry(manifest(&config, &layer), &[b"{}", b"layer"]);
        let cache = tempfile::tempdir().unwrap();

        let error = fetch(&server.host, &Accounts::default(), cache.path()).unwrap_err();

        assert!(error.to_string().contains(message), "{error}");
        let left = std::fs::read_dir(cache.path().join("blobs/sha256")).unwrap();
        assert_eq!(left.count(), 1, "the configuration alone");
    }
}

#[test]
fn a_configuration_that_is_none_is_told_with_the_image() {
    for (config, message) in [("[1", "configuration"), ("7", "configuration")] {
        let config_of = descriptor(CONFIG_TYPE, config.as_bytes(), "");
        let layer = descriptor(LAYER_TYPE, b"layer", "");
        let server = registry(manifest(&config_of, &layer), &[config.as_bytes(), b"layer"]);

        let error = refused(&server);

        assert!(error.contains("/team/app:1: "), "{error}");
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_configuration_with_another_digest_is_refused() {
    let document = manifest(
        &descriptor(CONFIG_TYPE, b"{}", ""),
        &descriptor(LAYER_TYPE, b"layer", ""),
    );
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/v2/team/app/manifests/1" => answer(200, document.clone()),
        _ => answer(200, "[]"),
    });

    let error = refused(&server);

    assert!(error.contains("content with the digest"), "{error}");
}

#[test]
fn content_with_another_digest_is_refused_and_not_kept() {
    let image = image();
    let server = Server::start(move |request, _| {
        let mut answer = image.answer(request);
        if answer.body.len() == image.layer.len() {
            answer.body[7] ^= 1;
        }
        answer
    });
    let cache = tempfile::tempdir().unwrap();

    let error = fetch(&server.host, &Accounts::default(), cache.path()).unwrap_err();

    assert!(
        error.to_string().contains("content with the digest"),
        "{error}"
    );
    // The configuration alone.
    assert_eq!(
        std::fs::read_dir(cache.path().join("blobs/sha256"))
            .unwrap()
            .count(),
        1
    );
}
