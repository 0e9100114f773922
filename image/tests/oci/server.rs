//! A small web server that answers as a test wants, and keeps what it was asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request: its path with the query, and its headers in lower case.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

/// How the body of an answer ends.
pub(crate) enum End {
    /// As its head says.
    Whole,
    /// The connection is cut after so many bytes.
    Cut(usize),
    /// Never: it is sent again and again, and its length is not told.
    Endless,
}

pub(crate) fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: body.into(),
        end: End::Whole,
    }
}

impl Answer {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers every request with what `handle` says; the thread ends with the test.
    pub(crate) fn start(
        handle: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
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

    /// The value of a header in all requests, empty where it was not sent.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let values = requests.iter().map(|request| request.header(name));
        values.map(str::to_owned).collect()
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|request| request.path.contains(path))
            .count()
    }
}

pub(crate) fn serve(
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
    if let End::Endless = answer.end {
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        // Until the other side has enough.
        while stream.write_all(&answer.body).is_ok() {}
        return;
    }
    write!(head, "Content-Length: {}\r\n\r\n", answer.body.len()).unwrap();
    let length = match answer.end {
        End::Cut(length) => length,
        _ => answer.body.len(),
    };
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&answer.body[..length]).unwrap();
}
