//! Images that are fetched as they are, not built.

mod state;

use std::fs::{self, File};
use std::io;
use std::path::Path;

use url::Url;

use crate::base::{self, Downloads};
use crate::cache;
use crate::definition::Bootstrap;
use crate::download;
use crate::engine::{self, Cancel, Engine, Event, Request};
use crate::error::Error;
use crate::replace::Replacement;

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
        let _kept = cache::hold(&self.settings.cache)?;
        let image = match &stage.header.bootstrap {
            Bootstrap::Oras(oras) => base::download_oras(downloads, oras)?.path,
            Bootstrap::Library(library) => base::download_library(downloads, library)?.path,
            Bootstrap::Shub { from } => {
                let place = request.output.path();
                let image = base::download_shub(downloads, from, folder_of(place))?;
                return self.put(image.file.path(), place);
            }
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
        events(Event::Info(&format!("fetching {url}")));
        let mut image = download::download(url, &self.settings.cache, events, cancel)?;
        let mut new = Replacement::of(place)?;
        io::copy(&mut image.file, new.file()).map_err(Error::io("writing", place))?;
        new.finish()?;
        image.remove()
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

/// What is downloaded is as large as the image, so it goes where that has to have room.
fn folder_of(place: &Path) -> &Path {
    match place.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
