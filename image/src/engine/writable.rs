//! What is in an image or a folder before it is built into.

use super::request::Output;
use crate::base::{self, Base, Bootstrapper};
use crate::classic::Target;
use crate::error::Error;
use crate::inside::{Reply, Task};
use crate::sandbox::Streams;

/// What every base has that scripts run in.
const SHELL: &str = "/bin/sh";

/// Puts what the output has already into the tree of the last stage. That is its base when it has
/// one, unless the caller wants it from the definition again.
pub(super) fn keep(
    bootstrapper: &mut Bootstrapper<'_>,
    is_last: bool,
) -> Result<Option<Base>, Error> {
    let Output::Writable(path) = &bootstrapper.request.output else {
        return Ok(None);
    };
    if !is_last {
        return Ok(None);
    }
    Target::open(path)?.read(bootstrapper)?;
    let is_kept = !bootstrapper.request.overwrite && has_shell(bootstrapper)?;
    if is_kept {
        bootstrapper.say("the image has a base already, which stays; --force brings it anew");
    }
    Ok(is_kept.then(|| base::image_base(None)))
}

fn has_shell(bootstrapper: &Bootstrapper<'_>) -> Result<bool, Error> {
    let workspace = bootstrapper.workspace;
    let task = Task::FindFiles(vec![SHELL.to_owned()]);
    let found = workspace.perform(&task, Streams::default())?;
    match found {
        Reply::Found(found) => Ok(found.iter().any(|files| !files.is_empty())),
        other => Err(Error::Internal(format!("search was answered by {other:?}"))),
    }
}
