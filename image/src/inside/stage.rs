//! `%files from`: what one tree gives and another takes; in each, no path leads out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::copy::{CopyTarget, resolve};
use super::{Reply, layer as text};
use crate::error::Error;
use crate::files::expand;
use crate::layer;
use crate::sandbox::Failure;

/// A file or folder that a word of `%files` stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFile {
    /// Its path as it was found, from the root directory.
    pub path: PathBuf,
    /// Where that leads to, without links.
    pub real: PathBuf,
}

/// Finds what each word stands for: a path, or a pattern of paths.
pub(super) fn find(words: &[String]) -> Result<Vec<Vec<FoundFile>>, Failure> {
    words.iter().map(|word| find_one(word)).collect()
}

fn find_one(word: &str) -> Result<Vec<FoundFile>, Failure> {
    let mut found = Vec::new();
    for word in expand::words(word, false) {
        let before = found.len();
        let mut names = |folder: &str| names_in(&Path::new("/").join(folder));
        for path in expand::paths(&word, &mut names) {
            found.extend(existing(&path)?);
        }
        if found.len() == before {
            found.extend(existing(&expand::plain(&word))?);
        }
    }
    Ok(found)
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn existing(path: &str) -> Result<Option<FoundFile>, Failure> {
    let path = Path::new("/").join(path);
    match fs::canonicalize(&path) {
        Ok(real) => Ok(Some(FoundFile { path, real })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io("finding", path)(error)),
    }
}

/// Writes files and folders as an archive.
pub(super) fn stream(paths: &[PathBuf], ledger: &str, output: impl Write) -> Result<(), Failure> {
    let relative = paths.iter().map(|path| {
        let path = path.strip_prefix("/").unwrap_or(path);
        path.as_os_str().as_bytes().to_vec()
    });
    let relative: Vec<_> = relative.collect();
    layer::stream_files(Path::new("/"), &relative, &text::parse(ledger)?, output)?;
    Ok(())
}

/// Puts an archive of files and folders into the tree, each at its target.
pub(super) fn put(
    targets: &[CopyTarget],
    ledger: &str,
    most_bytes: Option<u64>,
    input: impl Read,
) -> Result<Reply, Failure> {
    let mut ledger = text::parse(ledger)?;
    let input = BufReader::with_capacity(256 << 10, input);
    let mut resolved = HashMap::new();
    let mut naming = |name: &[u8]| place(name, targets, &mut resolved);
    let root = Path::new("/");
    let bytes = layer::put(input, root, &mut ledger, most_bytes, &mut naming)?;
    Ok(Reply::Applied {
        ledger: text::text_of(&ledger)?,
        bytes,
    })
}

/// A target is looked at when its first file comes: those before it may have made its folder.
fn place(
    name: &[u8],
    targets: &[CopyTarget],
    resolved: &mut HashMap<usize, PathBuf>,
) -> io::Result<Vec<u8>> {
    let mut parts = Path::new(OsStr::from_bytes(name)).components();
    let index = parts.next().and_then(|index| index.as_os_str().to_str());
    let index: Option<usize> = index.and_then(|index| index.parse().ok());
    let target = index.and_then(|index| Some((index, targets.get(index)?)));
    let (index, target) = target.ok_or_else(|| io::Error::other("file without a target"))?;
    let path = match resolved.entry(index) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(vacant) => {
            let path = resolve(target).map_err(|failure| io::Error::other(Error::from(failure)))?;
            vacant.insert(path)
        }
    };
    let path = path.join(parts.as_path());
    Ok(path.as_os_str().as_bytes().to_vec())
}
