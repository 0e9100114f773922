//! Copies files into the tree by the rules of `cp -fLr`.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use serde::{Deserialize, Serialize};
use tar::{Archive, Entry, EntryType};

use crate::sandbox::Failure;

/// Where one source goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyTarget {
    /// The destination as it is in the definition; relative ones start at the root.
    pub destination: PathBuf,
    /// Whether it was written with a slash at its end.
    pub is_folder: bool,
    /// What the source is called when it goes into a folder.
    pub name: PathBuf,
}

/// Writes the files of an archive; the first component of each name is the index of its target.
pub(super) fn copy_files(targets: &[CopyTarget], input: impl Read) -> Result<(), Failure> {
    umask(Mode::from_bits_truncate(0o002));
    let mut resolved = HashMap::new();
    let mut archive = Archive::new(input);
    for entry in archive
        .entries()
        .map_err(Failure::io("reading", "copied files"))?
    {
        let mut entry = entry.map_err(Failure::io("reading", "copied files"))?;
        let (index, below) = split_name(&entry)?;
        if let std::collections::hash_map::Entry::Vacant(vacant) = resolved.entry(index) {
            let target = targets
                .get(index)
                .ok_or_else(|| Failure::input("unknown target"))?;
            vacant.insert(resolve(target)?);
        }
        let path = resolved[&index].join(below);
        // A path that ends in "." or "/" is not the file of that name.
        let path: PathBuf = path.components().collect();
        write(&mut entry, &path)?;
    }
    Ok(())
}

fn split_name<R: Read>(entry: &Entry<'_, R>) -> Result<(usize, PathBuf), Failure> {
    let name = entry
        .path()
        .map_err(Failure::io("reading", "copied files"))?;
    let mut components = name.components();
    let index = components.next().and_then(|index| match index {
        Component::Normal(index) => index.to_str()?.parse().ok(),
        _ => None,
    });
    let index = index.ok_or_else(|| Failure::input("copied file without target"))?;
    Ok((index, components.as_path().to_owned()))
}

/// Into a folder that exists or was asked for; otherwise to the name itself.
pub(super) fn resolve(target: &CopyTarget) -> Result<PathBuf, Failure> {
    let destination = Path::new("/").join(&target.destination);
    if destination.is_dir() {
        return Ok(destination.join(&target.name));
    }
    if target.is_folder {
        make_folders(&destination)?;
        return Ok(destination.join(&target.name));
    }
    if let Some(parent) = destination.parent() {
        make_folders(parent)?;
    }
    Ok(destination)
}

fn make_folders(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(Failure::io("creating the folder", path))
}

fn write<R: Read>(entry: &mut Entry<'_, R>, path: &Path) -> Result<(), Failure> {
    let mode = entry
        .header()
        .mode()
        .map_err(Failure::io("reading the mode of", path))?
        & 0o777;
    match entry.header().entry_type() {
        EntryType::Directory if path.is_dir() => Ok(()),
        EntryType::Directory => DirBuilder::new()
            .mode(mode)
            .create(path)
            .map_err(Failure::io("creating", path)),
        _ if path.is_dir() => {
            let path = path.display();
            Err(Failure::input(format!(
                "%files: {path} of the image is a folder, not a file"
            )))
        }
        _ => {
            let mut file = create(path, mode).map_err(Failure::io("creating", path))?;
            io::copy(entry, &mut file).map_err(Failure::io("writing", path))?;
            Ok(())
        }
    }
}

/// What cannot be opened is replaced.
fn create(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    options.open(path).or_else(|_| {
        fs::remove_file(path)?;
        options.open(path)
    })
}
