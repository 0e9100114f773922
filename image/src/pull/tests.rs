//! Pulls of pieces from a hub in miniature.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::oci::Registries;
use crate::sandbox::{Identity, Network};

const PIECE: usize = 200_000;

/// What the hub has, and what it was asked for.
#[derive(Default)]
struct Told {
    image: Vec<u8>,
    layout: Option<String>,
    /// An image that is there once the layout was told.
    next: Option<Box<Told>>,
    /// How many bytes of the next part come before the connection breaks.
    break_after: Option<usize>,
    sent: usize,
    requests: usize,
}

impl Told {
    /// An image of pieces of objects: which, from where, how many bytes.
    fn of(pieces: &[(&[u8], usize, usize)]) -> Self {
        let mut image = Vec::new();
        let mut extents = Vec::new();
        for (object, offset, length) in pieces {
            image.extend_from_slice(&object[*offset..offset + length]);
            let object = digest(object);
            extents.push(serde_json::json!({"object": object, "offset": offset, "length": length}));
        }
        let (digest, size) = (digest(&image), image.len());
        let layout = serde_json::json!({"digest": digest, "size": size, "extents": extents});
        Self {
            image,
            layout: Some(layout.to_string()),
            ..Self::default()
        }
    }

    fn answer(&mut self, path: &str, headers: &BTreeMap<String, String>) -> Vec<u8> {
        if path.ends_with(".layout") {
            let Some(layout) = self.layout.clone() else {
                return head("404 Not Found", "", 0);
            };
            if let Some(next) = self.next.take() {
                *self = *next;
            }
            let kind = "Content-Type: application/vnd.cooperage.layout+json\r\n";
            return [head("200 OK", kind, layout.len()), layout.into_bytes()].concat();
        }
        self.requests += 1;
        let etag = format!("\"{}\"", digest(&self.image));
        let is_same = headers.get("if-range").is_none_or(|known| *known == etag);
        let range = headers.get("range").filter(|_| is_same);
        let (status, from, to) = match range.and_then(|range| range.strip_prefix("bytes=")) {
            Some(range) => {
                let (first, last) = range.split_once('-').unwrap();
                let last = last.parse().unwrap_or(self.image.len() - 1);
                ("206 Partial Content", first.parse().unwrap(), last + 1)
            }
            None => ("200 OK", 0, self.image.len()),
        };
        let more = format!(
            "Content-Range: bytes {from}-{}/*\r\nETag: {etag}\r\n",
            to - 1
        );
        let head = head(status, &more, to - from);
        let count = self.break_after.take().unwrap_or(to - from).min(to - from);
        self.sent += count;
        [head, self.image[from..from + count].to_vec()].concat()
    }
}

fn head(status: &str, more: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn serve(told: Told) -> (Url, Arc<Mutex<Told>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/lab/tool/v1.sif", listener.local_addr().unwrap());
    let told = Arc::new(Mutex::new(told));
    let shared = Arc::clone(&told);
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&stream.unwrap(), &shared);
        }
    });
    (url.parse().unwrap(), told)
}

fn answer(mut stream: &TcpStream, told: &Mutex<Told>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let headers = lines.take_while(|line| !line.is_empty());
    let headers = headers.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    });
    let answer = told.lock().unwrap().answer(&path, &headers.collect());
    // A client may have enough.
    drop(stream.write_all(&answer));
}

/// A user who pulls.
struct Client {
    folder: TempDir,
    engine: Engine,
}

impl Client {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(engine::Settings {
            cache: folder.path().join("cache"),
            scratch: folder.path().to_owned(),
            registries: Registries::default(),
            sources: engine::Sources::default(),
            identity: Identity::default(),
            network: Network::default(),
            environment: BTreeMap::new(),
            roots: engine::Roots::default(),
        });
        Self { folder, engine }
    }

    fn pull(&self, url: &Url) -> Result<Vec<u8>, Error> {
        let place = self.folder.path().join("image.sif");
        let cancel = Cancel::default();
        self.engine.pull_from_web(url, &place, &|_| {}, &cancel)?;
        Ok(fs::read(place).unwrap())
    }

    fn object(&self, object: &[u8]) -> PathBuf {
        let objects = self.folder.path().join("cache/objects");
        objects.join(digest(object)).join("data")
    }
}

/// Bytes that are nowhere the same.
fn bytes(seed: u8, count: usize) -> Vec<u8> {
    let blocks = (0_u64..).flat_map(|block| {
        let block = [u64::from(seed), block].map(u64::to_le_bytes).concat();
        Sha256::digest(block).to_vec()
    });
    blocks.take(count).collect()
}

#[test]
fn of_an_image_on_a_known_base_only_its_own_is_fetched() {
    let (base, client) = (bytes(0, 5 * PIECE), Client::new());
    let image = |seed| {
        let (own_head, own_tail) = (bytes(seed, 5000), bytes(seed + 1, 3000));
        let pieces: [(&[u8], _, _); 4] = [
            (&own_head, 0, 5000),
            (&base, 0, 2 * PIECE),
            (&base, 3 * PIECE, 2 * PIECE),
            (&own_tail, 0, 3000),
        ];
        serve(Told::of(&pieces))
    };
    let ((first, _), (second, told)) = (image(1), image(3));

    client.pull(&first).unwrap();
    let pulled = client.pull(&second).unwrap();

    let told = told.lock().unwrap();
    assert!(pulled == told.image);
    assert_eq!((told.sent, told.requests), (8000, 2));
}

#[test]
fn a_pull_that_broke_off_goes_on_where_it_was_and_so_does_the_next_one() {
    let (one, other) = (bytes(0, PIECE), bytes(1, PIECE));
    let pieces: [(&[u8], _, _); 2] = [(&one, 0, PIECE), (&other, 0, PIECE)];
    let told = Told {
        break_after: Some(PIECE + 1000),
        ..Told::of(&pieces)
    };
    let ((url, told), client) = (serve(told), Client::new());

    let pulled = client.pull(&url).unwrap();
    let again = client.pull(&url).unwrap();

    let told = told.lock().unwrap();
    assert!(pulled == told.image && again == told.image);
    assert_eq!((told.sent, told.requests), (2 * PIECE, 2));
}

#[test]
fn a_damaged_piece_is_noticed_and_fetched_again() {
    let (one, other) = (bytes(0, PIECE), bytes(1, PIECE));
    let pieces: [(&[u8], _, _); 2] = [(&one, 0, PIECE), (&other, 0, PIECE)];
    let ((url, told), client) = (serve(Told::of(&pieces)), Client::new());
    client.pull(&url).unwrap();
    let damaged = fs::OpenOptions::new().write(true).open(client.object(&one));
    damaged.unwrap().write_all_at(b"damaged", 1000).unwrap();

    let pulled = client.pull(&url).unwrap();

    let told = told.lock().unwrap();
    assert!(pulled == told.image);
    assert_eq!(told.sent, 4 * PIECE);
}

#[test]
fn pieces_that_are_never_those_of_the_image_are_given_up_for_the_image() {
    let (one, other) = (bytes(0, PIECE), bytes(1, PIECE));
    let pieces: [(&[u8], _, _); 2] = [(&one, 0, PIECE), (&other, 0, PIECE)];
    let mut told = Told::of(&pieces);
    let lie = told.layout.take().unwrap();
    told.layout = Some(lie.replace(&digest(&told.image), &digest(b"a lie")));
    let ((url, told), client) = (serve(told), Client::new());

    let pulled = client.pull(&url).unwrap();

    assert!(pulled == told.lock().unwrap().image);
}

#[test]
fn a_tag_that_moves_meanwhile_gives_the_image_that_is_there_then() {
    let (one, other) = (bytes(0, PIECE), bytes(1, PIECE));
    let old: [(&[u8], _, _); 2] = [(&one, 0, PIECE), (&other, 0, PIECE)];
    let new: [(&[u8], _, _); 2] = [(&other, 0, PIECE), (&one, 0, PIECE)];
    let told = Told {
        next: Some(Box::new(Told::of(&new))),
        ..Told::of(&old)
    };
    let ((url, told), client) = (serve(told), Client::new());

    let pulled = client.pull(&url).unwrap();

    assert!(pulled == told.lock().unwrap().image);
    assert!(pulled == [other, one].concat());
}

#[test]
fn an_address_without_layouts_is_pulled_as_a_file() {
    let told = Told {
        image: bytes(0, PIECE),
        ..Told::default()
    };
    let ((url, told), client) = (serve(told), Client::new());

    let pulled = client.pull(&url).unwrap();

    assert!(pulled == told.lock().unwrap().image);
    assert!(!client.folder.path().join("cache/objects").exists());
}
