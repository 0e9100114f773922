//! What a stage's root file system lies over.

use super::request::{Output, Roots};
use super::stage::StageBuild;
use crate::base::Below;
use crate::error::Error;
use crate::sandbox::require_overlays;

impl StageBuild<'_> {
    /// What the root file system is to lie over. It is a plain folder where an overlay does not
    /// work, and where the caller's own files take the place of a base.
    pub(super) fn below(&self) -> Result<Below, Error> {
        let settings = self.order.settings;
        let is_made_anew = matches!(
            self.order.request.output,
            Output::Sif(_) | Output::Sandbox(_)
        );
        // What %pre left there would be hidden.
        let is_empty = self.stage.sections.pre.is_none();
        if settings.roots == Roots::Folders || !is_made_anew || !is_empty {
            return Ok(Below::Nothing);
        }
        let namespace = self.workspace.namespace();
        match require_overlays(&settings.cache, &settings.scratch, namespace) {
            Ok(()) => Ok(Below::Anything),
            Err(error) => {
                self.order.watch.check()?;
                self.say(&format!("the base is unpacked anew: no overlay, {error}"));
                Ok(Below::Nothing)
            }
        }
    }
}
