//! Registries as they behave on good and bad days, played by a small server.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking, as the test does"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use cooperage_image::oci::{
    self, Accounts, Credentials, Digest, Fetch, FetchedImage, Platform, Reference, Registries,
};
use cooperage_image::{Cancel, Error};

const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// A request: its path with the query, and its headers in lower case.
struct Request {
    path: String,
    headers: BTreeMap<String, String>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// The connection is cut after so many bytes of the body.
    cut: Option<usize>,
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: body.into(),
        cut: None,
    }
}

impl Answer {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

struct Server {
    host: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers every request with what `handle` says; the thread ends with the test.
    fn start(handle: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, handle) = (Arc::clone(&requests), Arc::new(handle));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, handle) = (Arc::clone(&seen), Arc::clone(&handle));
                std::thread::spawn(move || serve(&stream.unwrap(), &seen, handle.as_ref()));
            }
        });
        Self { host, requests }
    }

    fn count(&self, path: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|request| request.path.contains(path))
            .count()
    }
}

fn serve(
    mut stream: &TcpStream,
    seen: &Mutex<Vec<Request>>,
    handle: &impl Fn(&Request, usize) -> Answer,
) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    });
    let request = Request {
        headers: headers.collect(),
        path,
    };
    let before = {
        let seen = seen.lock().unwrap();
        seen.iter()
            .filter(|other| other.path == request.path)
            .count()
    };
    let answer = handle(&request, before);
    seen.lock().unwrap().push(request);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    write!(head, "Content-Length: {}\r\n\r\n", answer.body.len()).unwrap();
    let body = &answer.body[..answer.cut.unwrap_or(answer.body.len())];
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
}

/// An image of one layer.
#[derive(Clone)]
struct Image {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
}

fn image() -> Image {
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
    fn answer(&self, request: &Request) -> Answer {
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

fn fetch(host: &str, accounts: &Accounts, cache: &Path) -> Result<FetchedImage, Error> {
    fetch_with(
        &format!("{host}/team/app:1"),
        &Registries::default(),
        accounts,
        cache,
    )
}

fn fetch_with(
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
    };
    oci::fetch(&wanted, &|_| {}, &Cancel::default())
}

fn account(password: &str) -> Accounts {
    let given = Credentials {
        account: Some(("tester".to_owned(), password.into())),
        source: None,
    };
    Accounts {
        given,
        ..Accounts::default()
    }
}

fn basic(password: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("tester:{password}"));
    format!("Basic {pair}")
}

/// A registry that wants a token, and gives one for the right password.
fn token_registry() -> Server {
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
                cut: Some(300_000),
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
