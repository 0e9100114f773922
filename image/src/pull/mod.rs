//! Images that are fetched as they are, not built. Of an image of a hub only what is missing.

mod delta;
mod layout;
pub(crate) mod objects;
mod ranges;
mod state;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::Path;

use url::Url;

use self::delta::Ended;
use self::layout::Layout;
use crate::base::{self, Downloads};
use crate::cache;
use crate::definition::Bootstrap;
use crate::download::{self, Web};
use crate::engine::{self, Cancel, Engine, Event, Request};
use crate::error::Error;
use crate::replace::Replacement;

/// How often pieces are fetched: a tag may have moved meanwhile, or one that was here be damaged.
const PIECES_TRIES: u32 = 3;

impl Engine {
    /// Puts the image that the request's definition begins from in the place of its output, byte for
    /// byte; one that has to be made of layers is built.
    pub fn pull(
        &self,
        request: &Request,
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let definition = engine::parse(request, &|_| {})?;
        let Some(stage) = definition.stages.last() else {
            return Err(Error::Internal("definition has no stage".to_owned()));
        };
        let downloads = Downloads {
            settings: &self.settings,
            request,
            events,
            cancel,
        };
        if let Bootstrap::Shub { from } = &stage.header.bootstrap {
            return self.pull_of_hub(downloads, from);
        }
        let _kept = cache::hold(&self.settings.cache)?;
        let image = match &stage.header.bootstrap {
            Bootstrap::Oras(oras) => base::download_oras(downloads, oras)?.path,
            Bootstrap::Library(library) => base::download_library(downloads, library)?.path,
            _ => return self.build(request, events, cancel).map(drop),
        };
        self.put(&image, request.output.path())
    }

    /// Fetches an image from the web and puts it at `place` when it is complete.
    pub fn pull_from_web(
        &self,
        url: &Url,
        place: &Path,
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let cache = &self.settings.cache;
        events(Event::Info(&format!("fetching {url}")));
        let web = Web::new(&self.settings.sources)?;
        let source = Source {
            web: &web,
            url,
            cache,
            events,
            cancel,
        };
        if source.pull_pieces(place)? {
            return Ok(());
        }
        let mut image = download::download(&web, url, cache, events, cancel)?;
        let mut new = Replacement::of(place)?;
        io::copy(&mut image.file, new.file()).map_err(Error::io("writing", place))?;
        new.finish()?;
        image.remove()
    }

    fn pull_of_hub(&self, downloads: Downloads<'_>, from: &str) -> Result<(), Error> {
        let place = downloads.request.output.path();
        let url = base::locate_shub(downloads, from)?;
        let web = Web::new(&self.settings.sources)?;
        let source = Source {
            web: &web,
            url: &url,
            cache: &downloads.settings.cache,
            events: downloads.events,
            cancel: downloads.cancel,
        };
        if source.pull_pieces(place)? {
            return Ok(());
        }
        let image = base::download_shub(downloads, from, folder_of(place))?;
        self.put(image.file.path(), place)
    }

    /// Within the cache nobody changes a file, so that one may have two names.
    fn put(&self, image: &Path, place: &Path) -> Result<(), Error> {
        if place.starts_with(&self.settings.cache) && fs::hard_link(image, place).is_ok() {
            return Ok(());
        }
        let mut file = File::open(image).map_err(Error::io("opening", image))?;
        let mut new = Replacement::of(place)?;
        io::copy(&mut file, new.file()).map_err(Error::io("writing", place))?;
        new.finish()
    }
}

/// An image at an address, and how it is fetched.
#[derive(Clone, Copy)]
struct Source<'a> {
    web: &'a Web<'a>,
    url: &'a Url,
    cache: &'a Path,
    events: &'a (dyn Fn(Event<'_>) + Sync),
    cancel: &'a Cancel,
}

impl Source<'_> {
    /// Fetches the pieces of an image that are not here, and puts it at `place`; false if the
    /// address gives no pieces, or not those of one image.
    fn pull_pieces(self, place: &Path) -> Result<bool, Error> {
        for _ in 0..PIECES_TRIES {
            let Some(layout) = Layout::of(self)? else {
                return Ok(false);
            };
            let held = cache::hold(self.cache)?;
            let ended = delta::pull(self, &layout, place)?;
            drop(held);
            cache::trim_objects(self.cache)?;
            if let Ended::Complete = ended {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What is downloaded is as large as the image, so it goes where that has to have room.
fn folder_of(place: &Path) -> &Path {
    match place.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
