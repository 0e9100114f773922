//! Credentials are given to who they are for, and to nobody else.

use cooperage_image::Error;
use cooperage_image::oci::{Accounts, Digest, Registries};

use crate::server::{Server, answer};
use crate::world::{
    LAYER_TYPE, account, basic, descriptor, fetch, fetch_with, image, manifest, registry,
    token_registry,
};

/// All that a server was asked for as somebody.
fn authorizations(server: &Server) -> Vec<String> {
    let mut values = server.headers("authorization");
    values.retain(|value| !value.is_empty());
    values
}

#[test]
fn the_token_that_the_challenge_asks_for_is_used() {
    let server = token_registry();
    let cache = tempfile::tempdir().unwrap();

    fetch(&server.host, &account("s3cret"), cache.path()).unwrap();

    assert_eq!(server.count("/token"), 1);
}

#[test]
fn a_wrong_password_is_told_with_its_account_and_not_shown() {
    let server = token_registry();
    let cache = tempfile::tempdir().unwrap();

    let error = fetch(&server.host, &account("hunter2"), cache.path()).unwrap_err();

    let Error::Base {
        message,
        help: Some(help),
    } = &error
    else {
        panic!("{error:?}")
    };
    assert!(message.contains("wrong password"), "{message}");
    assert!(
        help.contains("account `tester` from the command line"),
        "{help}"
    );
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn a_basic_challenge_gets_the_password() {
    let image = image();
    let server = Server::start(move |request, _| match request.header("authorization") {
        value if value == basic("s3cret") => image.answer(request),
        _ => answer(401, "").with("WWW-Authenticate", r#"Basic realm="test""#),
    });
    let cache = tempfile::tempdir().unwrap();

    assert!(fetch(&server.host, &account("s3cret"), cache.path()).is_ok());
    assert!(fetch(&server.host, &Accounts::default(), cache.path()).is_err());
}

#[test]
fn a_redirect_to_another_host_gets_no_credentials() {
    let image = image();
    let blobs = image.clone();
    let other = Server::start(move |request, _| blobs.answer(request));
    let target = other.host.clone();
    let server = Server::start(move |request, _| match request.header("authorization") {
        "" => answer(401, "").with("WWW-Authenticate", "Basic"),
        _ if request.path.contains("/blobs/") => {
            answer(307, "").with("Location", format!("http://{target}{}", request.path))
        }
        _ => image.answer(request),
    });
    let cache = tempfile::tempdir().unwrap();

    fetch(&server.host, &account("s3cret"), cache.path()).unwrap();

    let requests = other.requests.lock().unwrap();
    assert_eq!(requests.len(), 2);
    assert!(
        requests
            .iter()
            .all(|request| request.header("authorization").is_empty())
    );
}

#[test]
fn a_mirror_is_asked_first_and_gets_no_credentials() {
    let image = image();
    let server = Server::start(move |request, _| image.answer(request));
    let cache = tempfile::tempdir().unwrap();
    let mirrors = [("docker.io".to_owned(), format!("http://{}", server.host))];
    let registries = Registries {
        mirrors: mirrors.into(),
        ..Registries::default()
    };

    let fetched = fetch_with("team/app:1", &registries, &account("s3cret"), cache.path()).unwrap();

    assert_eq!(fetched.reference, "index.docker.io/team/app:1");
    let requests = server.requests.lock().unwrap();
    assert!(
        requests
            .iter()
            .all(|request| request.header("authorization").is_empty())
    );
}

#[test]
fn a_token_server_on_another_host_gets_the_password_and_the_registry_the_token() {
    let tokens = Server::start(|_, _| answer(200, r#"{"access_token":"abc","token":"old"}"#));
    let realm = format!("http://{}/token", tokens.host);
    let image = image();
    let server = Server::start(move |request, _| {
        if request.header("authorization") == "Bearer abc" {
            return image.answer(request);
        }
        let challenge = format!(r#"Bearer realm="{realm}",service="a registry""#);
        answer(401, "").with("WWW-Authenticate", challenge)
    });
    let cache = tempfile::tempdir().unwrap();

    fetch(&server.host, &account("s3cret"), cache.path()).unwrap();

    assert_eq!(authorizations(&tokens), [basic("s3cret")]);
    let asked = &tokens.requests.lock().unwrap()[0].path;
    assert_eq!(
        asked,
        "/token?service=a+registry&scope=repository%3Ateam%2Fapp%3Apull"
    );
    assert!(
        authorizations(&server)
            .iter()
            .all(|value| value == "Bearer abc")
    );
    assert_eq!(authorizations(&server).len(), 3);
}

#[test]
fn a_token_server_that_redirects_is_not_followed_with_the_password() {
    let thief = Server::start(|_, _| answer(200, r#"{"token":"abc"}"#));
    let target = format!("http://{}/token", thief.host);
    let tokens = Server::start(move |_, _| answer(307, "").with("Location", target.clone()));
    let realm = format!("http://{}/token", tokens.host);
    let server = Server::start(move |_, _| {
        let challenge = format!(r#"Bearer realm="{realm}""#);
        answer(401, "").with("WWW-Authenticate", challenge)
    });
    let cache = tempfile::tempdir().unwrap();

    let error = fetch(&server.host, &account("s3cret"), cache.path()).unwrap_err();

    assert!(error.to_string().contains("307"), "{error}");
    assert_eq!(thief.count(""), 0);
}

#[test]
fn a_blob_host_gets_neither_the_token_nor_the_password() {
    let image = image();
    let blobs = image.clone();
    let other = Server::start(move |request, _| blobs.answer(request));
    let target = other.host.clone();
    let server = Server::start(move |request, _| {
        let realm = format!("http://{}/token", request.header("host"));
        if request.path.starts_with("/token") {
            return answer(200, r#"{"token":"abc"}"#);
        }
        match request.header("authorization") {
            "Bearer abc" if request.path.contains("/blobs/") => {
                answer(307, "").with("Location", format!("http://{target}{}", request.path))
            }
            "Bearer abc" => image.answer(request),
            _ => answer(401, "").with("WWW-Authenticate", format!(r#"Bearer realm="{realm}""#)),
        }
    });
    let cache = tempfile::tempdir().unwrap();

    fetch(&server.host, &account("s3cret"), cache.path()).unwrap();

    assert_eq!(other.count("/blobs/"), 2);
    assert!(authorizations(&other).is_empty());
}

#[test]
fn a_host_that_has_a_foreign_layer_gets_no_credentials() {
    let layer = b"a layer that nobody may push".to_vec();
    let content = layer.clone();
    let foreign = Server::start(move |_, _| answer(200, content.clone()));
    let urls = format!(
        r#","urls":["ftp://{0}/no","http://{0}/layer.tar"]"#,
        foreign.host
    );
    let kind = LAYER_TYPE.replace("layer.", "layer.nondistributable.");
    let document = manifest(
        &descriptor("application/vnd.oci.image.config.v1+json", b"{}", ""),
        &descriptor(&kind, &layer, &urls),
    );
    let server = Server::start(move |request, _| match request.header("authorization") {
        "" => answer(401, "").with("WWW-Authenticate", "Basic"),
        _ if request.path.ends_with("/manifests/1") => answer(200, document.clone()),
        _ if request.path.ends_with(&Digest::of(b"{}").to_string()) => answer(200, "{}"),
        _ => answer(404, ""),
    });
    let cache = tempfile::tempdir().unwrap();

    let fetched = fetch(&server.host, &account("s3cret"), cache.path()).unwrap();

    assert_eq!(std::fs::read(&fetched.layers[0].path).unwrap(), layer);
    assert_eq!(foreign.count("/layer.tar"), 1);
    assert!(authorizations(&foreign).is_empty());
    assert!(!authorizations(&server).is_empty());
}

#[test]
fn nobody_is_told_who_asks_as_long_as_nobody_wants_to_know() {
    let image = image();
    let server = registry(image.manifest.clone(), &[&image.config, &image.layer]);
    let cache = tempfile::tempdir().unwrap();

    fetch(&server.host, &account("s3cret"), cache.path()).unwrap();

    assert!(authorizations(&server).is_empty());
}
