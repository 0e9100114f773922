//! A file from the web, going on where a connection broke, in this run or in an earlier one.

mod state;
mod web;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use nix::sys::statvfs::fstatvfs;
use reqwest::blocking::Response;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Method, StatusCode};
use sha2::{Digest, Sha256};
use url::Url;

use crate::engine::{Cancel, Event, Progress};
use crate::error::Error;

pub(crate) use state::state;
pub(crate) use web::Web;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// For the head of an answer, and for every piece of its body.
const TIMEOUT: Duration = Duration::from_mins(1);
const TRIES: u32 = 6;
const TICK: Duration = Duration::from_millis(100);

/// Bytes of the disk that no download takes.
const LEFT_FREE: u64 = 64 << 20;

/// Where a download is kept while it is not complete.
const FOLDER: &str = "downloads";

/// A complete file, which nobody else writes to as long as this is held.
#[derive(Debug)]
pub(crate) struct Downloaded {
    /// Its content, from the beginning.
    pub(crate) file: File,
    path: PathBuf,
}

impl Downloaded {
    /// Removes it, once it is where it should be.
    pub(crate) fn remove(self) -> Result<(), Error> {
        remove(&self.path)?;
        remove(&etag_of(&self.path))
    }
}

/// Fetches a file to the cache, and checks it against what the server says of it.
pub(crate) fn download(
    web: &Web<'_>,
    url: &Url,
    cache: &Path,
    events: &(dyn Fn(Event<'_>) + Sync),
    cancel: &Cancel,
) -> Result<Downloaded, Error> {
    let folder = cache.join(FOLDER);
    fs::create_dir_all(&folder).map_err(Error::io("making the folder", &folder))?;
    let path = folder.join(hex::encode(Sha256::digest(url.as_str())));
    let mut download = Download {
        web,
        url,
        file: open(&path)?,
        path,
        events,
        cancel,
        expected: None,
    };
    if let Err(error) = download.complete().and_then(|()| download.verify()) {
        if download.length()? == 0 {
            remove(&download.path)?;
        }
        return Err(error);
    }
    let Download { mut file, path, .. } = download;
    file.rewind().map_err(Error::io("reading", &path))?;
    Ok(Downloaded { file, path })
}

/// Two that fetch the same file do so one after the other.
fn open(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(Error::io("opening", path))?;
    file.lock().map_err(Error::io("locking", path))?;
    Ok(file)
}

struct Download<'a> {
    web: &'a Web<'a>,
    url: &'a Url,
    file: File,
    path: PathBuf,
    events: &'a (dyn Fn(Event<'_>) + Sync),
    cancel: &'a Cancel,
    /// SHA-256 that the server announced (RFC 9530).
    expected: Option<Vec<u8>>,
}

enum Outcome {
    Complete,
    Broken(String),
}

impl Download<'_> {
    fn complete(&mut self) -> Result<(), Error> {
        let mut why = String::new();
        for attempt in 0..TRIES {
            self.wait(attempt)?;
            match self.attempt()? {
                Outcome::Complete => return Ok(()),
                Outcome::Broken(reason) => why = reason,
            }
        }
        Err(Error::Network {
            message: format!("{} cannot be fetched: {why}", self.url),
            source: None,
        })
    }

    /// Longer each time, and not at all at first.
    fn wait(&self, attempt: u32) -> Result<(), Error> {
        let ticks = if attempt == 0 { 0 } else { 5 << attempt };
        for _ in 0..ticks {
            self.check_cancelled()?;
            thread::sleep(TICK);
        }
        self.check_cancelled()
    }

    fn check_cancelled(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    fn attempt(&mut self) -> Result<Outcome, Error> {
        let length = self.length()?;
        let mut headers = HeaderMap::new();
        let known = fs::read_to_string(etag_of(&self.path)).unwrap_or_default();
        if length > 0
            && let Ok(known) = HeaderValue::try_from(known)
            && !known.is_empty()
        {
            let range = HeaderValue::try_from(format!("bytes={length}-"));
            headers.extend(range.ok().map(|range| (RANGE, range)));
            headers.insert(IF_RANGE, known);
        }
        let response = match self.web.ask(&Method::GET, self.url, &headers)? {
            Ok(response) => response,
            Err(error) => return Ok(Outcome::Broken(cause_of(&error))),
        };
        let status = response.status();
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            self.start_over()?;
            return Ok(Outcome::Broken("it became shorter".to_owned()));
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Ok(Outcome::Broken(format!("the server answers {status}")));
        }
        if !status.is_success() {
            return Err(refused(self.url, status));
        }
        self.take(response)
    }

    fn take(&mut self, mut response: Response) -> Result<Outcome, Error> {
        let from = self.length()?;
        let goes_on = header(&response, CONTENT_RANGE.as_str())
            .is_some_and(|range| range.starts_with(&format!("bytes {from}-")));
        if !goes_on {
            self.start_over()?;
        }
        self.expected = header(&response, "repr-digest").and_then(|value| sha256_in(&value));
        if let Some(etag) = header(&response, ETAG.as_str()).filter(|etag| etag.starts_with('"')) {
            let path = etag_of(&self.path);
            fs::write(&path, etag).map_err(Error::io("writing", path))?;
        }
        let mut done = if goes_on { from } else { 0 };
        let total = response.content_length().map(|rest| done + rest);
        let most = done.saturating_add(self.room()?);
        if total.is_some_and(|total| total > most) {
            return Err(self.no_room(most));
        }
        let end = self.file.seek(SeekFrom::End(0));
        end.map_err(Error::io("writing", &self.path))?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            self.check_cancelled()?;
            let count = match response.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Ok(Outcome::Broken(error.to_string())),
            };
            let written = self.file.write_all(&buffer[..count]);
            written.map_err(Error::io("writing", &self.path))?;
            done += count as u64;
            self.report(done, total);
            if done > most {
                self.start_over()?;
                return Err(self.no_room(most));
            }
        }
        match total {
            Some(total) if done < total => Ok(Outcome::Broken("the connection broke".to_owned())),
            _ => Ok(Outcome::Complete),
        }
    }

    /// How much more the disk takes, with something left for others: some servers do not say how
    /// much they will send.
    fn room(&self) -> Result<u64, Error> {
        let disk = fstatvfs(&self.file).map_err(|error| {
            let error = io::Error::from(error);
            Error::io("asking for the free space of", &self.path)(error)
        })?;
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        Ok(free.saturating_sub(LEFT_FREE))
    }

    fn no_room(&self, most: u64) -> Error {
        let folder = self.path.parent().unwrap_or(&self.path);
        Error::Base {
            message: format!(
                "{} is larger than {most} bytes, which is what {} has room for",
                self.url,
                folder.display()
            ),
            help: Some(
                "make room (cooperage cache clean), or name another disk with COOPERAGE_CACHE"
                    .to_owned(),
            ),
        }
    }

    fn report(&self, done: u64, total: Option<u64>) {
        let mut names = self.url.path_segments().into_iter().flatten();
        (self.events)(Event::Progress(Progress {
            step: names.next_back().unwrap_or_default(),
            done,
            total,
        }));
    }

    fn verify(&mut self) -> Result<(), Error> {
        let Some(expected) = self.expected.take() else {
            return Ok(());
        };
        let reading = || Error::io("reading", &self.path);
        let mut hash = Sha256::new();
        self.file.rewind().map_err(reading())?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            match self.file.read(&mut buffer).map_err(reading())? {
                0 => break,
                count => hash.update(&buffer[..count]),
            }
        }
        if hash.finalize().as_slice() == expected.as_slice() {
            return Ok(());
        }
        self.start_over()?;
        Err(Error::Base {
            message: format!("{}: what came is not what the server announced", self.url),
            help: Some("try again; if it stays so, something on the way changes it".to_owned()),
        })
    }

    fn start_over(&mut self) -> Result<(), Error> {
        remove(&etag_of(&self.path))?;
        self.file
            .set_len(0)
            .map_err(Error::io("writing", &self.path))
    }

    fn length(&self) -> Result<u64, Error> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(Error::io("reading", &self.path))?.len())
    }
}

fn etag_of(path: &Path) -> PathBuf {
    path.with_extension("etag")
}

fn header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?;
    value.to_str().ok().map(str::to_owned)
}

/// The SHA-256 in a `Repr-Digest` (`sha-256=:BASE64:`).
fn sha256_in(value: &str) -> Option<Vec<u8>> {
    let mut fields = value.split(',').map(str::trim);
    let base64 = fields.find_map(|field| field.strip_prefix("sha-256=:")?.strip_suffix(':'))?;
    base64::engine::general_purpose::STANDARD
        .decode(base64)
        .ok()
}

fn refused(url: &Url, status: StatusCode) -> Error {
    Error::Base {
        message: format!("{url}: the server answers {status}"),
        help: Some("check the address, and whether it asks for an account".to_owned()),
    }
}

/// The innermost cause says most.
fn cause_of(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("removing", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
