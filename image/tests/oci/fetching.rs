//! Images are fetched whole, once, and again when the network or the registry stumbles.

use std::net::TcpListener;

use cooperage_image::Error;
use cooperage_image::oci::{Accounts, Registries};

use crate::server::{Answer, End, Server, answer};
use crate::world::{fetch, fetch_with, image};

#[test]
fn a_public_image_is_fetched_once_and_then_comes_from_the_cache() {
    let image = image();
    let layer = image.layer.clone();
    let server = Server::start(move |request, _| image.answer(request));
    let cache = tempfile::tempdir().unwrap();

    let first = fetch(&server.host, &Accounts::default(), cache.path()).unwrap();
    let second = fetch(&server.host, &Accounts::default(), cache.path()).unwrap();

    assert_eq!(first, second);
    assert_eq!(std::fs::read(&first.layers[0].path).unwrap(), layer);
    assert_eq!(
        first.layers[0].diff_id,
        Some(first.layers[0].digest.clone())
    );
    assert_eq!(first.reference, format!("{}/team/app:1", server.host));
    assert_eq!(server.count("/blobs/"), 2);
}

#[test]
fn a_damaged_cache_entry_is_fetched_again() {
    let image = image();
    let layer = image.layer.clone();
    let server = Server::start(move |request, _| image.answer(request));
    let cache = tempfile::tempdir().unwrap();
    let first = fetch(&server.host, &Accounts::default(), cache.path()).unwrap();
    std::fs::write(&first.layers[0].path, "damaged").unwrap();

    let second = fetch(&server.host, &Accounts::default(), cache.path()).unwrap();

    assert_eq!(std::fs::read(&second.layers[0].path).unwrap(), layer);
}

#[test]
fn too_many_requests_are_repeated_when_the_registry_says() {
    let image = image();
    let server = Server::start(move |request, before| match before {
        0 => answer(429, "").with("Retry-After", "1"),
        1 => answer(503, ""),
        _ => image.answer(request),
    });
    let cache = tempfile::tempdir().unwrap();

    fetch(&server.host, &Accounts::default(), cache.path()).unwrap();

    assert_eq!(server.count("/manifests/1"), 3);
}

#[test]
fn a_download_goes_on_where_the_connection_was_cut() {
    let image = image();
    let layer = image.layer.clone();
    let server = Server::start(move |request, _| {
        let whole = image.answer(request);
        if whole.body.len() < image.layer.len() {
            return whole;
        }
        let range = request.header("range").strip_prefix("bytes=");
        match range.map(|range| range.trim_end_matches('-').parse::<usize>().unwrap()) {
            None => Answer {
                end: End::Cut(300_000),
                ..whole
            },
            Some(from) => {
                let content_range = format!("bytes {from}-{}/*", whole.body.len() - 1);
                answer(206, &whole.body[from..]).with("Content-Range", content_range)
            }
        }
    });
    let cache = tempfile::tempdir().unwrap();

    let fetched = fetch(&server.host, &Accounts::default(), cache.path()).unwrap();

    assert_eq!(std::fs::read(&fetched.layers[0].path).unwrap(), layer);
    let requests = server.requests.lock().unwrap();
    assert!(
        requests
            .iter()
            .any(|request| request.header("range") == "bytes=300000-")
    );
}

#[test]
fn a_missing_image_is_told_with_its_name_and_the_answer() {
    let server = Server::start(|request, _| image().answer(request));
    let cache = tempfile::tempdir().unwrap();
    let reference = format!("{}/team/none:1", server.host);

    let none = Accounts::default();
    let error = fetch_with(&reference, &Registries::default(), &none, cache.path()).unwrap_err();

    let expected = format!("team/none:1 not found on {}: no such thing", server.host);
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_registry_that_cannot_be_reached_is_a_network_error() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let cache = tempfile::tempdir().unwrap();

    let error = fetch(&closed.to_string(), &Accounts::default(), cache.path()).unwrap_err();

    assert!(matches!(error, Error::Network { .. }), "{error:?}");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}
