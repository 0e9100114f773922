//! Whether this machine lets a namespace have an overlay whose folders are below two others.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::NamedTempFile;

use super::{Namespace, Streams, Workspace, mounts};
use crate::error::Error;
use crate::inside::{PROBE, PROBE_ATTRIBUTE, Task};

/// What is known of this machine, until its next start.
const PROOF: &str = "overlays";

/// Makes sure that an overlay of trees below `cache` works in workspaces below `scratch`; the error
/// says why it does not.
pub(crate) fn require(cache: &Path, scratch: &Path, namespace: &Namespace) -> Result<(), Error> {
    let device = |folder: &Path| fs::metadata(folder).map(|found| found.dev());
    let devices = (
        device(cache).map_err(Error::io("reading", cache))?,
        device(scratch).map_err(Error::io("reading", scratch))?,
    );
    // Inode numbers of an overlay are those of its folders only then.
    if devices.0 != devices.1 {
        return Err(Error::Machine {
            message: format!(
                "{} and {} are on different file systems",
                cache.display(),
                scratch.display()
            ),
            help: None,
        });
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let proof = format!("{boot}{} {}\n", devices.0, namespace.signature());
    let path = cache.join(PROOF);
    if fs::read_to_string(&path).is_ok_and(|known| known == proof) {
        return Ok(());
    }
    try_one(scratch, namespace)?;
    let written = NamedTempFile::new_in(cache).and_then(|mut file| {
        file.write_all(proof.as_bytes())?;
        file.persist(&path)?;
        Ok(())
    });
    written.map_err(Error::io("writing", path))
}

/// Does in a small overlay what a build does in its own.
fn try_one(scratch: &Path, namespace: &Namespace) -> Result<(), Error> {
    let mut workspace = Workspace::create(scratch, namespace)?;
    workspace.lay_over(Vec::new())?;
    let below = workspace.path().join(mounts::overlay::lower(0));
    let probe = below.join(PROBE);
    let made = fs::write(&probe, PROBE)
        .and_then(|()| xattr::set(&probe, PROBE_ATTRIBUTE, PROBE.as_bytes()));
    made.map_err(Error::io("writing", &probe))?;
    namespace.give(&probe)?;
    workspace
        .perform(&Task::TryOverlay, Streams::default())
        .map(drop)
}
