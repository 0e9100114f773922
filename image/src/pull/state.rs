//! What tells the image that a definition begins from, as it is now, from what it was before.

use crate::base::{self, Downloads};
use crate::definition::Bootstrap;
use crate::engine::{self, Cancel, Engine, Event, Request};
use crate::error::Error;

impl Engine {
    /// Asks whoever has the image, and fetches nothing: another answer for another image. Nothing
    /// where nobody can tell.
    pub(crate) fn state_of_base(
        &self,
        request: &Request,
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
    ) -> Result<Option<String>, Error> {
        let definition = engine::parse(request, &|_| {})?;
        let downloads = Downloads {
            settings: &self.settings,
            request,
            events,
            cancel,
        };
        let stage = definition.stages.last();
        match stage.map(|stage| &stage.header.bootstrap) {
            Some(Bootstrap::Docker(docker)) => base::state_of_docker(downloads, docker).map(Some),
            Some(Bootstrap::Oras(oras)) => base::state_of_oras(downloads, oras).map(Some),
            Some(Bootstrap::Library(library)) => {
                base::state_of_library(downloads, library).map(Some)
            }
            Some(Bootstrap::Shub { from }) => base::state_of_shub(downloads, from),
            _ => Ok(None),
        }
    }
}
