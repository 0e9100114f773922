//! Images that are fetched as they are, not built.

use std::io;
use std::path::Path;

use url::Url;

use crate::download;
use crate::engine::{Cancel, Engine, Event};
use crate::error::Error;
use crate::replace::Replacement;

impl Engine {
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
}
