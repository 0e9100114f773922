//! How a blob gets from the registry into the cache, going on where a connection broke.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::CONTENT_RANGE;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::budget::Budget;
use super::cache::Cache;
use super::client::{Ask, Client};
use super::digest::Digest;
use super::fetch::Fetch;
use super::manifest::Descriptor;
use super::patience::Patience;
use crate::error::Error;

/// What a blob may have whose size was not told, as in schema 1.
const MOST_UNTOLD: u64 = 32 << 30;

/// Called with the bytes that are there.
pub(super) type Report<'a> = &'a dyn Fn(u64);

/// Where the blobs of one image go, and how much they may take.
#[derive(Debug)]
pub(super) struct Store {
    cache: Cache,
    budget: Budget,
}

impl Store {
    pub(super) fn open(wanted: &Fetch<'_>) -> Result<Self, Error> {
        Ok(Self {
            cache: Cache::open(wanted.cache)?,
            budget: Budget::new(wanted.most_bytes),
        })
    }
}

/// Makes sure that a blob is in the cache, and tells where.
pub(super) fn download(
    client: &Client<'_>,
    store: &Store,
    blob: &Descriptor,
    report: Report<'_>,
) -> Result<PathBuf, Error> {
    let Store { cache, budget } = store;
    if let Some(path) = cache.find(blob)? {
        return Ok(path);
    }
    let path = format!("blobs/{}", blob.digest);
    if let Some(data) = &blob.data {
        return keep_data(client, cache, blob, data);
    }
    let mut partial = Partial {
        file: cache.temporary()?,
        hash: Sha256::new(),
        length: 0,
        budget,
    };
    budget.check(blob.size.unwrap_or_default(), &blob.digest.to_string())?;
    let mut patience = Patience::default();
    loop {
        client.check_cancelled()?;
        let response = ask(client, blob, &path, partial.length)?;
        partial
            .align(&response)
            .map_err(Error::io("writing", partial.file.path()))?;
        match partial.fill(client, response, blob, report)? {
            Outcome::Complete => break,
            Outcome::TooLong => return Err(client.nonsense(&path, "more than it announced")),
            Outcome::Broken(cause) => {
                client.wait(&mut patience)?.ok_or_else(|| Error::Network {
                    message: format!("connection broke again and again while getting {path}"),
                    source: Some(Box::new(cause)),
                })?;
            }
        }
    }
    let found = Digest::finish(partial.hash);
    if found != blob.digest {
        return Err(client.nonsense(&path, &format!("content with the digest {found}")));
    }
    cache.keep(partial.file, &blob.digest)
}

/// Asks the registry, and where it has not got the blob the other places that have it.
fn ask(client: &Client<'_>, blob: &Descriptor, path: &str, from: u64) -> Result<Response, Error> {
    let ask = Ask {
        path,
        accept: "*/*",
        from,
    };
    client.get(ask).or_else(|error| {
        let elsewhere = || {
            blob.urls
                .iter()
                .find_map(|url| client.get_elsewhere(url, ask))
        };
        match error {
            Error::Base { .. } => elsewhere().ok_or(error),
            error => Err(error),
        }
    })
}

fn keep_data(
    client: &Client<'_>,
    cache: &Cache,
    blob: &Descriptor,
    data: &[u8],
) -> Result<PathBuf, Error> {
    if Digest::of(data) != blob.digest {
        return Err(client.nonsense("a manifest", "data that has not the digest beside it"));
    }
    let mut file = cache.temporary()?;
    let written = file.write_all(data);
    written.map_err(Error::io("writing", file.path()))?;
    cache.keep(file, &blob.digest)
}

struct Partial<'a> {
    file: NamedTempFile,
    hash: Sha256,
    length: u64,
    budget: &'a Budget,
}

enum Outcome {
    Complete,
    TooLong,
    Broken(std::io::Error),
}

impl Partial<'_> {
    /// Starts over if the server did not go on where it was asked to.
    fn align(&mut self, response: &Response) -> std::io::Result<()> {
        let goes_on = response.status() == StatusCode::PARTIAL_CONTENT
            && response
                .headers()
                .get(CONTENT_RANGE)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|value| value.starts_with(&format!("bytes {}-", self.length)));
        if self.length > 0 && !goes_on {
            self.file.as_file().set_len(0)?;
            self.file.as_file_mut().seek(SeekFrom::Start(0))?;
            self.hash = Sha256::new();
            self.budget.give_back(self.length);
            self.length = 0;
        }
        Ok(())
    }

    fn fill(
        &mut self,
        client: &Client<'_>,
        mut response: Response,
        blob: &Descriptor,
        report: Report<'_>,
    ) -> Result<Outcome, Error> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            client.check_cancelled()?;
            let count = match response.read(&mut buffer) {
                Ok(0) if blob.size.is_some_and(|size| self.length < size) => {
                    return Ok(Outcome::Broken(std::io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(0) => return Ok(Outcome::Complete),
                Ok(count) => count,
                Err(error) => return Ok(Outcome::Broken(error)),
            };
            self.length += count as u64;
            if self.length > blob.size.unwrap_or(MOST_UNTOLD) {
                return Ok(Outcome::TooLong);
            }
            self.budget.take(count as u64, &blob.digest.to_string())?;
            self.hash.update(&buffer[..count]);
            let written = self.file.write_all(&buffer[..count]);
            written.map_err(Error::io("writing", self.file.path()))?;
            report(self.length);
        }
    }
}
