//! Downloads over http and https that are not a registry's: again when the network stumbles, and
//! going on where a connection broke.
//!
//! # Security
//! Addresses are a definition's, and redirects a stranger's. None leads from https to http, and a
//! token goes to the host that it is for.

use std::io::{Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::{AUTHORIZATION, HeaderValue, LOCATION, RANGE};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use tempfile::NamedTempFile;
use url::Url;

use crate::engine::Cancel;
use crate::error::Error;
use crate::oci::{Patience, install_tls, is_passing, redirect};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// For the head of an answer, and for every piece of its body.
const TIMEOUT: Duration = Duration::from_mins(1);
const MOST_REDIRECTS: usize = 5;
const MOST_TEXT: usize = 8 << 20;
/// For a short answer, whole.
const LONGEST_TEXT: Duration = Duration::from_mins(2);

/// A client for one host and where its redirects lead.
pub(super) struct Downloader<'a> {
    http: reqwest::blocking::Client,
    cancel: &'a Cancel,
    /// What is shown to the host of the first address, and to no other.
    pub(super) token: Option<SecretString>,
    /// How much is taken at most.
    pub(super) most_bytes: Option<u64>,
}

impl<'a> Downloader<'a> {
    /// Makes a client; nothing is sent yet.
    pub(super) fn new(cancel: &'a Cancel) -> Result<Self, Error> {
        install_tls();
        let http = reqwest::blocking::Client::builder()
            .user_agent(concat!("cooperage/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .build()
            .map_err(|error| Error::Internal(format!("cannot make an HTTP client: {error}")))?;
        Ok(Self {
            http,
            cancel,
            token: None,
            most_bytes: None,
        })
    }

    /// A short answer; nothing if there is none at that address.
    pub(super) fn find_text(&self, url: &Url) -> Result<Option<Vec<u8>>, Error> {
        let response = self.get(url, 0)?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let (mut response, until) = (accepted(response, url)?, Instant::now() + LONGEST_TEXT);
        let (mut text, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let count = response.read(&mut buffer);
            match count.map_err(|error| broken(url, Some(Box::new(error))))? {
                0 => return Ok(Some(text)),
                count => text.extend_from_slice(&buffer[..count]),
            }
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if text.len() > MOST_TEXT {
                return Err(refused(url, "the answer is too long"));
            }
            if Instant::now() > until {
                return Err(refused(url, "the answer takes too long"));
            }
        }
    }

    /// A file, whole: as long as the server says that it is. `report` is told how much is there,
    /// and of how much.
    pub(super) fn file(
        &self,
        url: &Url,
        file: &mut NamedTempFile,
        report: &dyn Fn(u64, Option<u64>),
    ) -> Result<u64, Error> {
        let mut patience = Patience::default();
        let mut length = 0;
        loop {
            let response = self.get(url, length)?;
            if response.status() != StatusCode::PARTIAL_CONTENT {
                length = 0;
            }
            let mut response = accepted(response, url)?;
            let total = response.content_length().map(|rest| length + rest);
            self.check_size(url, total.unwrap_or(length))?;
            let sought = file.as_file().set_len(length);
            sought
                .and_then(|()| file.as_file_mut().seek(SeekFrom::Start(length)))
                .map_err(Error::io("writing", file.path()))?;
            let ended = self.receive(&mut response, file, &mut length, &|length| {
                report(length, total);
            });
            self.check_size(url, length)?;
            match ended? {
                None if total.is_none_or(|total| total == length) => return Ok(length),
                error => patience
                    .wait(None, self.cancel)?
                    .ok_or_else(|| broken(url, error.map(|error| Box::new(error) as _)))?,
            }
        }
    }

    fn check_size(&self, url: &Url, length: u64) -> Result<(), Error> {
        if self.most_bytes.is_some_and(|most| length > most) {
            return Err(refused(
                url,
                "it takes more space than the disk limit allows",
            ));
        }
        Ok(())
    }

    /// Takes what comes until the end, or until the connection breaks.
    fn receive(
        &self,
        response: &mut Response,
        file: &mut NamedTempFile,
        length: &mut u64,
        report: &dyn Fn(u64),
    ) -> Result<Option<std::io::Error>, Error> {
        let mut buffer = vec![0; 128 << 10];
        while self.most_bytes.is_none_or(|most| *length <= most) {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let count = match response.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Ok(Some(error)),
            };
            let written = file.write_all(&buffer[..count]);
            written.map_err(Error::io("writing", file.path()))?;
            *length += count as u64;
            report(*length);
        }
        Ok(None)
    }

    /// Asks until there is an answer, or no more patience.
    fn get(&self, url: &Url, from: u64) -> Result<Response, Error> {
        let mut patience = Patience::default();
        loop {
            let error = match self.follow(url, from)? {
                Ok(response) if !is_passing(response.status()) => return Ok(response),
                Ok(response) => refused(url, &format!("it answered {}", response.status())),
                Err(error) => Error::Network {
                    message: format!("{} cannot be reached", host(url)),
                    source: Some(Box::new(error.without_url())),
                },
            };
            patience.wait(None, self.cancel)?.ok_or(error)?;
        }
    }

    fn follow(&self, first: &Url, from: u64) -> Result<Result<Response, reqwest::Error>, Error> {
        let mut url = first.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.http.get(url.clone());
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            if let Some(token) = &self.token
                && url.origin() == first.origin()
            {
                request = request.header(AUTHORIZATION, bearer(token)?);
            }
            let response = match request.send() {
                Ok(response) if response.status().is_redirection() => response,
                other => return Ok(other),
            };
            url = redirect::next(&url, response.headers().get(LOCATION))
                .map_err(|what| refused(first, &format!("it sent {what}")))?;
        }
        Err(refused(first, "it redirects too often"))
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue, Error> {
    let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
    let mut value = value.map_err(|_| Error::Machine {
        message: "token has characters that no token has".to_owned(),
        help: None,
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn accepted(response: Response, url: &Url) -> Result<Response, Error> {
    let status = response.status();
    if status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT {
        return Ok(response);
    }
    Err(refused(url, &format!("it answered {status}")))
}

/// # Security
/// The address is shown without what may be a password in it.
fn refused(url: &Url, why: &str) -> Error {
    Error::Base {
        message: format!("{}{} cannot be had: {why}", host(url), url.path()),
        help: None,
    }
}

fn broken(url: &Url, source: Option<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Network {
        message: format!("connection to {} broke", host(url)),
        source,
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
