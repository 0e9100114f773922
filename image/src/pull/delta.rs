//! An image of a hub, of which only those pieces are fetched that are not here: as ranges of the
//! image, so that who may have it may have them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::Duration;

use reqwest::blocking::Response;
use reqwest::header::{CONTENT_RANGE, IF_RANGE, RANGE};
use reqwest::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

use super::Source;
use super::layout::Layout;
use super::objects::Object;
use super::ranges::Ranges;
use crate::engine::{Event, Progress};
use crate::error::Error;
use crate::replace::Replacement;

/// A new request costs as much as so many bytes.
const GAP: u64 = 32 << 10;
const TRIES: u32 = 6;
const TICK: Duration = Duration::from_millis(100);

/// How a pull of pieces ended.
pub(super) enum Ended {
    /// The image is in its place.
    Complete,
    /// There is another image at the address now, or no ranges are given.
    Changed,
    /// The pieces are not those of the image; they are forgotten.
    Wrong,
}

/// Puts the image at `place`.
pub(super) fn pull(source: Source<'_>, layout: &Layout, place: &Path) -> Result<Ended, Error> {
    let mut objects = BTreeMap::new();
    for extent in &layout.extents {
        if !objects.contains_key(&extent.object) {
            let object = Object::open(source.cache, &extent.object)?;
            objects.insert(extent.object.clone(), object);
        }
    }
    let mut pull = Pull {
        source,
        layout,
        objects,
    };
    let fetched = pull.fetch_all();
    pull.save()?;
    if !fetched? {
        return Ok(Ended::Changed);
    }
    let mut image = Replacement::of(place)?;
    pull.copy_to(image.file())
        .map_err(Error::io("writing", place))?;
    if format!("sha256:{}", hash(image.file(), place)?) != layout.digest {
        for object in pull.objects.into_values() {
            object.forget()?;
        }
        return Ok(Ended::Wrong);
    }
    image.finish()?;
    Ok(Ended::Complete)
}

struct Pull<'a> {
    source: Source<'a>,
    layout: &'a Layout,
    objects: BTreeMap<String, Object>,
}

enum Part {
    Whole,
    Broken(String),
    Changed,
}

impl Pull<'_> {
    /// Fetches what is missing; false if it is not to be had.
    fn fetch_all(&mut self) -> Result<bool, Error> {
        let size = self.layout.size();
        let mut tries = 0;
        loop {
            let missing = self.missing();
            let Some(range) = missing.first().cloned() else {
                self.report(0);
                return Ok(true);
            };
            let left: u64 = missing.iter().map(|range| range.end - range.start).sum();
            if tries == 0 {
                tracing::debug!("{left} of {size} bytes are fetched");
            }
            match self.fetch(range, left)? {
                Part::Whole => tries = 1,
                Part::Changed => return Ok(false),
                Part::Broken(why) if tries >= TRIES => {
                    return Err(Error::Network {
                        message: format!("{} cannot be fetched: {why}", self.source.url),
                        source: None,
                    });
                }
                Part::Broken(_) => {
                    tries += 1;
                    self.wait(tries)?;
                }
            }
        }
    }

    /// The ranges of the image that are not here.
    fn missing(&self) -> Vec<Range<u64>> {
        let mut missing = Ranges::default();
        let mut position = 0;
        for extent in &self.layout.extents {
            let wanted = extent.offset..extent.offset + extent.length;
            for range in self.objects[&extent.object].missing_in(wanted) {
                let start = position + (range.start - extent.offset);
                missing.add(start..start + (range.end - range.start));
            }
            position += extent.length;
        }
        missing.bridged(GAP)
    }

    fn fetch(&mut self, range: Range<u64>, left: u64) -> Result<Part, Error> {
        let only = [
            (RANGE, format!("bytes={}-{}", range.start, range.end - 1)),
            (IF_RANGE, format!("\"{}\"", self.layout.digest)),
        ];
        let only = only
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.try_into().ok()?)));
        let Source { web, url, .. } = self.source;
        let mut response = match web.ask(&Method::GET, url, &only.collect())? {
            Ok(response) => response,
            Err(error) => return Ok(Part::Broken(error.without_url().to_string())),
        };
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Ok(Part::Broken(format!("the server answers {status}")));
        }
        if status != StatusCode::PARTIAL_CONTENT || !begins_at(&response, range.start) {
            return Ok(Part::Changed);
        }
        let mut buffer = vec![0; 128 << 10];
        let (mut position, start) = (range.start, range.start);
        while position < range.end {
            self.check_cancelled()?;
            let count = match response.read(&mut buffer) {
                Ok(0) => return Ok(Part::Broken("the connection broke".to_owned())),
                Ok(count) => count,
                Err(error) => return Ok(Part::Broken(error.to_string())),
            };
            self.put(&buffer[..count], position)?;
            position += count as u64;
            self.report(left.saturating_sub(position - start));
        }
        Ok(Part::Whole)
    }

    /// Puts bytes of the image into the objects that they are pieces of.
    fn put(&mut self, bytes: &[u8], position: u64) -> Result<(), Error> {
        let end = position + bytes.len() as u64;
        let mut begin = 0;
        for extent in &self.layout.extents {
            let (first, last) = (begin.max(position), (begin + extent.length).min(end));
            if first < last
                && let Some(object) = self.objects.get_mut(&extent.object)
            {
                let part = to_index(first - position)..to_index(last - position);
                object.write(&bytes[part], extent.offset + (first - begin))?;
            }
            begin += extent.length;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), Error> {
        self.objects.values_mut().try_for_each(Object::save)
    }

    fn copy_to(&self, image: &mut File) -> io::Result<()> {
        for extent in &self.layout.extents {
            let mut data = &self.objects[&extent.object].data;
            data.seek(SeekFrom::Start(extent.offset))?;
            // The kernel copies, and file systems that can share bytes between files do.
            if io::copy(&mut data.take(extent.length), image)? < extent.length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    fn report(&self, left: u64) {
        let total = self.layout.size();
        let mut names = self.source.url.path_segments().into_iter().flatten();
        (self.source.events)(Event::Progress(Progress {
            step: names.next_back().unwrap_or_default(),
            done: total - left.min(total),
            total: Some(total),
        }));
    }

    fn wait(&self, tries: u32) -> Result<(), Error> {
        for _ in 0..5 << tries {
            self.check_cancelled()?;
            thread::sleep(TICK);
        }
        Ok(())
    }

    fn check_cancelled(&self) -> Result<(), Error> {
        if self.source.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }
}

fn begins_at(response: &Response, start: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

/// Part of a buffer, which is in memory.
fn to_index(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn hash(image: &mut File, place: &Path) -> Result<String, Error> {
    let reading = || Error::io("reading", place);
    let mut hash = Sha256::new();
    image.rewind().map_err(reading())?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        match image.read(&mut buffer).map_err(reading())? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}
