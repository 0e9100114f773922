//! Does in an overlay what only works where all of it does.

use std::fs;
use std::io;
use std::path::Path;

use crate::sandbox::Failure;

/// A file of the folder below, with itself as its content and its attribute.
pub(crate) const PROBE: &str = "probe";
pub(crate) const PROBE_ATTRIBUTE: &str = "user.probe";

/// Copies a file up, hides it, and puts a folder in its place.
pub(super) fn try_out() -> Result<(), Failure> {
    let attempt = || -> io::Result<()> {
        let (place, other) = (Path::new("/").join(PROBE), Path::new("/other"));
        fs::rename(&place, other)?;
        fs::create_dir(&place)?;
        let attribute = xattr::get(other, PROBE_ATTRIBUTE)?;
        if fs::read(other)? != PROBE.as_bytes() || attribute.as_deref() != Some(PROBE.as_bytes()) {
            return Err(io::Error::other("its files are not those of its folders"));
        }
        fs::remove_file(other)?;
        fs::remove_dir(&place)
    };
    attempt().map_err(|error| Failure::machine("trying an overlay", error))
}
