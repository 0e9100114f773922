use std::io::BufRead;
use std::net::TcpListener;

use super::*;
use crate::engine::Sources;

/// A server that gives each answer to one request, and tells what was asked for.
fn serve(answers: Vec<Vec<u8>>) -> (Url, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a/tool.sif", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = io::BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines
                .by_ref()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            asked.push(head.join("\n").to_ascii_lowercase());
            stream.write_all(&answer).unwrap();
        }
        asked
    });
    (url.parse().unwrap(), server)
}

fn fetch(url: &Url, cache: &Path) -> Result<Downloaded, Error> {
    fetch_as(&Sources::default(), url, cache)
}

fn fetch_as(sources: &Sources, url: &Url, cache: &Path) -> Result<Downloaded, Error> {
    let web = Web::new(sources)?;
    download(&web, url, cache, &|_| {}, &Cancel::default())
}

fn answer(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

fn text(mut downloaded: Downloaded) -> String {
    let mut text = String::new();
    downloaded.file.read_to_string(&mut text).unwrap();
    downloaded.remove().unwrap();
    text
}

#[test]
fn a_download_goes_on_where_it_broke() {
    let cache = tempfile::tempdir().unwrap();
    let (url, server) = serve(vec![
        answer("200 OK\r\nETag: \"v1\"\r\nContent-Length: 10", "01234"),
        answer(
            "206 Partial Content\r\nETag: \"v1\"\r\nContent-Length: 5\r\n\
             Content-Range: bytes 5-9/10",
            "56789",
        ),
    ]);

    let downloaded = fetch(&url, cache.path()).unwrap();

    assert_eq!(text(downloaded), "0123456789");
    let asked = server.join().unwrap();
    assert!(asked[1].contains("range: bytes=5-"), "{asked:?}");
    assert!(asked[1].contains("if-range: \"v1\""), "{asked:?}");
    let left = fs::read_dir(cache.path().join(FOLDER)).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn a_file_that_changed_meanwhile_is_fetched_from_its_beginning() {
    let cache = tempfile::tempdir().unwrap();
    let (url, server) = serve(vec![
        answer("200 OK\r\nETag: \"v1\"\r\nContent-Length: 10", "01234"),
        answer("200 OK\r\nETag: \"v2\"\r\nContent-Length: 3", "new"),
    ]);

    let downloaded = fetch(&url, cache.path()).unwrap();

    assert_eq!(text(downloaded), "new");
    drop(server);
}

#[test]
fn what_differs_from_its_announced_digest_is_refused_and_forgotten() {
    let cache = tempfile::tempdir().unwrap();
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest("right"));
    let head = format!("200 OK\r\nContent-Length: 5\r\nRepr-Digest: sha-256=:{digest}:");
    let (url, _server) = serve(vec![answer(&head, "wrong"), answer(&head, "right")]);

    let refused = fetch(&url, cache.path()).unwrap_err();
    let downloaded = fetch(&url, cache.path()).unwrap();

    assert!(refused.to_string().contains("announced"), "{refused}");
    assert_eq!(text(downloaded), "right");
}

#[test]
fn what_is_not_there_is_told_at_once() {
    let cache = tempfile::tempdir().unwrap();
    let (url, _server) = serve(vec![answer("404 Not Found\r\nContent-Length: 0", "")]);

    let refused = fetch(&url, cache.path()).unwrap_err();

    assert!(refused.to_string().contains("404"), "{refused}");
}

#[test]
fn a_token_goes_to_its_hub_and_with_no_redirect_elsewhere() {
    let cache = tempfile::tempdir().unwrap();
    let (other, asked_of_other) = serve(vec![answer("200 OK\r\nContent-Length: 2", "ok")]);
    let away = format!("302 Found\r\nLocation: {other}\r\nContent-Length: 0");
    let here = "307 Temporary Redirect\r\nLocation: /next\r\nContent-Length: 0";
    let (hub, asked_of_hub) = serve(vec![answer(here, ""), answer(&away, "")]);
    let sources = Sources {
        hub_tokens: vec![(hub.clone(), "s3cret".to_owned().into())],
        ..Sources::default()
    };

    let downloaded = fetch_as(&sources, &hub, cache.path()).unwrap();

    assert_eq!(text(downloaded), "ok");
    for asked in asked_of_hub.join().unwrap() {
        assert!(asked.contains("authorization: bearer s3cret"), "{asked}");
    }
    let asked = asked_of_other.join().unwrap();
    assert!(!asked[0].contains("authorization"), "{asked:?}");
}

#[test]
fn nobody_else_is_shown_the_token_of_a_hub() {
    let cache = tempfile::tempdir().unwrap();
    let (url, asked) = serve(vec![answer("200 OK\r\nContent-Length: 2", "ok")]);
    let mut same_host = url.clone();
    same_host.set_scheme("https").unwrap();
    let hubs = [same_host, "http://hub.example.org".parse().unwrap()];
    let hubs = hubs.map(|hub| (hub, "s3cret".to_owned().into()));
    let sources = Sources {
        hub_tokens: hubs.into(),
        ..Sources::default()
    };

    fetch_as(&sources, &url, cache.path()).unwrap();

    assert!(!asked.join().unwrap()[0].contains("authorization"));
}

#[test]
fn what_the_disk_has_no_room_for_is_not_begun() {
    let cache = tempfile::tempdir().unwrap();
    let head = format!("200 OK\r\nContent-Length: {}", u64::MAX / 2);
    let (url, _server) = serve(vec![answer(&head, "x")]);

    let refused = fetch(&url, cache.path()).unwrap_err().to_string();

    assert!(refused.contains("has room for"), "{refused}");
    let left = fs::read_dir(cache.path().join(FOLDER)).unwrap();
    assert_eq!(left.count(), 0);
}
