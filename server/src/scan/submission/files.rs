//! What files does somebody send with a definition? An archive becomes blobs of a repository, and folders
//! of them that are not written yet.
//!
//! # Security
//!
//! The archive is a stranger's: no name leads out of it, and no step of reading it takes more than its
//! limit of memory or disk.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use git2::{FileMode, Oid, Repository};
use tar::{Archive, Entry, EntryType};

use super::super::fetch::FetchError;
use super::internal;

/// Folders in folders: what lies deeper is nobody's work.
const DEEPEST: usize = 128;

/// The most files and folders of a context.
const MOST_ENTRIES: usize = 500_000;

/// What an archive may have before a file, in bytes: the library holds all of it in memory.
const LARGEST_HEADER: u64 = 64 << 10;

/// Reads the files of a tar in gzip, of so many bytes at most.
pub(super) fn read(
    repository: &Repository,
    archive: &Path,
    most_bytes: u64,
) -> Result<Folder, FetchError> {
    let file = File::open(archive).map_err(anyhow::Error::from)?;
    let mut reading = Reading {
        repository,
        left: most_bytes,
        allowed: Rc::default(),
    };
    let bytes = Metered {
        inner: MultiGzDecoder::new(BufReader::new(file)),
        allowed: Rc::clone(&reading.allowed),
    };
    let mut files = Folder::default();
    reading.all(&mut Archive::new(bytes), &mut files)?;
    Ok(files)
}

/// Brings the files of an archive into a repository.
struct Reading<'a> {
    repository: &'a Repository,
    /// Bytes that the files may still have.
    left: u64,
    /// Bytes that may be read of the archive until the next step.
    allowed: Rc<Cell<u64>>,
}

impl Reading<'_> {
    fn all(&mut self, archive: &mut Archive<impl Read>, to: &mut Folder) -> Result<(), FetchError> {
        self.allowed.set(LARGEST_HEADER);
        let mut entries = archive.entries().map_err(|error| damaged(&error))?;
        for _ in 0..MOST_ENTRIES {
            self.allowed.set(LARGEST_HEADER);
            let Some(entry) = entries.next() else {
                return Ok(());
            };
            let mut entry = entry.map_err(|error| damaged(&error))?;
            self.left = self.left.checked_sub(entry.size()).ok_or_else(too_large)?;
            self.allowed
                .set(entry.size().saturating_add(LARGEST_HEADER));
            let path = entry.path().map_err(|error| damaged(&error))?.into_owned();
            let names = names(&path)?;
            // Git cannot have such a folder in a tree, and no build should.
            if !names.is_empty() && names.iter().all(|name| name != b".git") {
                let node = self.node(&mut entry, &path)?;
                to.put(&names, node)?;
            }
            io::copy(&mut entry, &mut io::sink()).map_err(|error| damaged(&error))?;
        }
        Err(FetchError::Refused(format!(
            "the build context has more than {MOST_ENTRIES} files"
        )))
    }

    fn node(&self, entry: &mut Entry<'_, impl Read>, path: &Path) -> Result<Node, FetchError> {
        match entry.header().entry_type() {
            EntryType::Directory => Ok(Node::Folder(Folder::default())),
            EntryType::Regular | EntryType::Continuous => {
                let is_executable =
                    entry.header().mode().map_err(|error| damaged(&error))? & 0o100 != 0;
                let mode = if is_executable {
                    FileMode::BlobExecutable
                } else {
                    FileMode::Blob
                };
                Ok(Node::File(self.blob(entry)?, mode))
            }
            other => Err(FetchError::Refused(format!(
                "{} in the build context is of the kind {other:?}: only files and folders can be sent",
                path.display()
            ))),
        }
    }

    fn blob(&self, entry: &mut Entry<'_, impl Read>) -> Result<Oid, FetchError> {
        let mut blob = self.repository.blob_writer(None).map_err(internal)?;
        io::copy(entry, &mut blob).map_err(|error| damaged(&error))?;
        blob.commit().map_err(internal)
    }
}

/// Reads no more than is allowed.
struct Metered<R> {
    inner: R,
    allowed: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allowed.get();
        if allowed == 0 {
            return Err(io::Error::other("a name in it is too long"));
        }
        let most = buffer
            .len()
            .min(usize::try_from(allowed).unwrap_or(usize::MAX));
        let count = self.inner.read(&mut buffer[..most])?;
        self.allowed.set(allowed.saturating_sub(count as u64));
        Ok(count)
    }
}

/// What lies at a path.
pub(super) enum Node {
    /// A file, which is written.
    File(Oid, FileMode),
    /// A folder.
    Folder(Folder),
}

/// A folder, and what is in it.
#[derive(Default)]
pub(super) struct Folder(BTreeMap<Vec<u8>, Node>);

impl Folder {
    /// Puts something at a path, making the folders that lead there; a folder that is there stays.
    pub(super) fn put(&mut self, path: &[Vec<u8>], node: Node) -> Result<(), FetchError> {
        let Some((name, above)) = path.split_last() else {
            return Ok(());
        };
        let mut folder = self;
        for name in above {
            let below = folder.0.entry(name.clone());
            match below.or_insert_with(|| Node::Folder(Self::default())) {
                Node::Folder(below) => folder = below,
                Node::File(..) => {
                    let message = format!(
                        "{} in the build context is a file and a folder",
                        as_text(name)
                    );
                    return Err(FetchError::Refused(message));
                }
            }
        }
        match (folder.0.get(name), &node) {
            (Some(Node::Folder(_)), Node::Folder(_)) => {}
            _ => drop(folder.0.insert(name.clone(), node)),
        }
        Ok(())
    }

    /// A name for the definition that none of the files in that folder has.
    pub(super) fn free_name(&self, path: &[Vec<u8>]) -> Vec<u8> {
        let mut folder = Some(self);
        for name in path {
            folder = match folder.and_then(|folder| folder.0.get(name)) {
                Some(Node::Folder(below)) => Some(below),
                _ => None,
            };
        }
        let is_taken = |name: &[u8]| folder.is_some_and(|folder| folder.0.contains_key(name));
        let numbered = (2..).map(|number| format!("Singularity.{number}"));
        let mut candidates = std::iter::once("Singularity".to_owned()).chain(numbered);
        let free = candidates.find(|name| !is_taken(name.as_bytes()));
        free.unwrap_or_default().into_bytes()
    }

    /// Writes the folder with all that is in it.
    pub(super) fn write(&self, repository: &Repository) -> Result<Oid, FetchError> {
        let mut tree = repository.treebuilder(None).map_err(internal)?;
        for (name, node) in &self.0 {
            let (oid, mode) = match node {
                Node::File(oid, mode) => (*oid, *mode),
                Node::Folder(below) => (below.write(repository)?, FileMode::Tree),
            };
            tree.insert(name.as_slice(), oid, mode.into())
                .map_err(|error| {
                    FetchError::Refused(format!(
                        "{:?} in the build context cannot be kept: {}",
                        as_text(name),
                        error.message()
                    ))
                })?;
        }
        tree.write().map_err(internal)
    }
}

/// The names of a path that leads out of nothing.
pub(super) fn names(path: &Path) -> Result<Vec<Vec<u8>>, FetchError> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.as_bytes().to_vec()),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(FetchError::Refused(format!(
                    "{} in the build context has .. in it",
                    path.display()
                )));
            }
        }
    }
    if names.len() > DEEPEST {
        let message = format!("the build context has more than {DEEPEST} folders in each other");
        return Err(FetchError::Refused(message));
    }
    Ok(names)
}

/// A name to be shown.
pub(super) fn as_text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn too_large() -> FetchError {
    let message = "the files of the build context are larger than fetch.size_mib of the hub";
    FetchError::Refused(message.to_owned())
}

fn damaged(error: &io::Error) -> FetchError {
    FetchError::Refused(format!(
        "the build context is no tar in gzip, or is damaged: {error}"
    ))
}
