//! How does something become a commit here that nobody pushed? The definition and the files that
//! somebody sends are one, without parents, in the repository of the collection.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use chrono::{DateTime, Utc};
use cooperage_protocol::BuildId;
use flate2::bufread::MultiGzDecoder;
use git2::{FileMode, Oid, Repository, Signature, Time};
use tar::{Archive, Entry, EntryType};

use super::fetch::{FetchError, Mirror};
use super::{Source, blocking, tree};

/// Folders in folders: what lies deeper is nobody's work.
const DEEPEST: usize = 128;

/// The most files and folders of a context.
const MOST_ENTRIES: usize = 500_000;

/// What an archive may have before a file, in bytes: the library holds all of it in memory.
const LARGEST_HEADER: u64 = 64 << 10;

/// A definition that somebody sends, and what it copies.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    /// The build it is for.
    pub(crate) build: BuildId,
    /// Who sends it.
    pub(crate) author: String,
    /// The text of the definition.
    pub(crate) definition: Vec<u8>,
    /// The files, if there are any.
    pub(crate) context: Option<BuildContext>,
}

/// Files that a definition copies.
#[derive(Debug, Clone)]
pub(crate) struct BuildContext {
    /// A tar in gzip, its paths from the root of the sender's machine.
    pub(crate) archive: PathBuf,
    /// The folder there in which relative paths start.
    pub(crate) folder: PathBuf,
}

/// A submission as a commit.
#[derive(Debug, Clone)]
pub(crate) struct Submitted {
    /// The commit, in hex.
    pub(crate) commit: String,
    /// Its time.
    pub(crate) commit_time: DateTime<Utc>,
    /// Path of the definition in it.
    pub(crate) recipe: String,
    /// Git's id of the definition.
    pub(crate) recipe_blob: String,
}

impl Source {
    /// Makes a commit of what somebody sent.
    pub(crate) async fn submit(self, submission: Submission) -> Result<Submitted, FetchError> {
        blocking(move || {
            let mirror = Mirror::open(&self)?;
            let most_bytes = self.limits.size_mib.saturating_mul(1 << 20);
            let submitted = commit(mirror.repository(), &submission, most_bytes)?;
            let oid = super::fetch::parse_oid(&submitted.commit)?;
            tree::check_sizes(mirror.repository(), &mirror.commit(oid)?, most_bytes)?;
            Ok(submitted)
        })
        .await
    }
}

fn commit(
    repository: &Repository,
    submission: &Submission,
    most_bytes: u64,
) -> Result<Submitted, FetchError> {
    let mut files = Folder::default();
    let mut folder = Vec::new();
    if let Some(context) = &submission.context {
        let file = File::open(&context.archive).map_err(anyhow::Error::from)?;
        let mut reading = Reading {
            repository,
            left: most_bytes,
            allowed: Rc::default(),
        };
        let bytes = Metered {
            inner: MultiGzDecoder::new(BufReader::new(file)),
            allowed: Rc::clone(&reading.allowed),
        };
        reading.all(&mut Archive::new(bytes), &mut files)?;
        folder = names(&context.folder)?;
    }
    let blob = repository.blob(&submission.definition).map_err(internal)?;
    let name = files.free_name(&folder);
    folder.push(name);
    files.put(&folder, Node::File(blob, FileMode::Blob))?;

    let tree = repository.find_tree(files.write(repository)?);
    let now = Utc::now();
    let when = Time::new(now.timestamp(), 0);
    let who = Signature::new(&submission.author, "remote-build@localhost", &when);
    let (tree, who) = (tree.map_err(internal)?, who.map_err(internal)?);
    // What no ref leads to, git may remove.
    let kept = format!("refs/cooperage/remote-builds/{}", submission.build);
    let commit = repository.commit(Some(&kept), &who, &who, "remote build", &tree, &[]);
    let recipe: Vec<_> = folder.iter().map(|name| as_text(name)).collect();
    Ok(Submitted {
        commit: commit.map_err(internal)?.to_string(),
        commit_time: DateTime::from_timestamp(now.timestamp(), 0).unwrap_or_default(),
        recipe: recipe.join("/"),
        recipe_blob: blob.to_string(),
    })
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

enum Node {
    File(Oid, FileMode),
    Folder(Folder),
}

#[derive(Default)]
struct Folder(BTreeMap<Vec<u8>, Node>);

impl Folder {
    /// Puts something at a path, making the folders that lead there; a folder that is there stays.
    fn put(&mut self, path: &[Vec<u8>], node: Node) -> Result<(), FetchError> {
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
    fn free_name(&self, path: &[Vec<u8>]) -> Vec<u8> {
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

    fn write(&self, repository: &Repository) -> Result<Oid, FetchError> {
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
fn names(path: &Path) -> Result<Vec<Vec<u8>>, FetchError> {
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

fn as_text(name: &[u8]) -> String {
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

fn internal(error: git2::Error) -> FetchError {
    FetchError::Internal(error.into())
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, Header};

    use super::*;
    use crate::scan::context;

    fn context(entries: &[(&str, EntryType, u32, &str)], to: &Path) -> PathBuf {
        let file = File::create(to.join("context.tar.gz")).unwrap();
        let mut archive = Builder::new(GzEncoder::new(file, Compression::fast()));
        for (path, kind, mode, content) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            // A hostile archive has names that the library would not write.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            archive.append(&header, content.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        to.join("context.tar.gz")
    }

    fn submitted(
        entries: &[(&str, EntryType, u32, &str)],
        most: u64,
    ) -> Result<(Submitted, Vec<String>), FetchError> {
        let scratch = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(scratch.path().join("git")).unwrap();
        let submission = Submission {
            build: BuildId::generate(),
            author: "ada".to_owned(),
            definition: b"Bootstrap: scratch\n".to_vec(),
            context: Some(BuildContext {
                archive: context(entries, scratch.path()),
                folder: PathBuf::from("/home/ada/tool"),
            }),
        };
        let submitted = commit(&repository, &submission, most)?;
        let oid = Oid::from_str(&submitted.commit).unwrap();
        let commit = repository.find_commit(oid).unwrap();
        let entries = tree::entries(&repository, &commit).unwrap();
        let paths = entries.iter().map(|entry| {
            let size = repository.find_blob(entry.object).map(|blob| blob.size());
            format!(
                "{} {:?} {}",
                as_text(&entry.path),
                entry.kind,
                size.unwrap_or(0)
            )
        });
        let paths = paths.collect();
        let mut tar = Vec::new();
        context::write(&repository, &commit, &mut tar).unwrap();
        Ok((submitted, paths))
    }

    #[test]
    fn files_lie_where_they_lay_and_the_definition_where_relative_paths_start() {
        let (file, folder) = (EntryType::Regular, EntryType::Directory);
        let entries = [
            ("home/", folder, 0o755, ""),
            ("home/ada/tool/Singularity", file, 0o600, "theirs"),
            ("home/ada/tool/run", file, 0o755, "#!/bin/sh"),
            ("home/ada/tool/.git/config", file, 0o644, "x"),
            ("home/ada/tool/empty/", folder, 0o755, ""),
            ("etc/motd", file, 0o644, "hi"),
        ];
        let (submitted, paths) = submitted(&entries, 1 << 20).unwrap();
        assert_eq!(submitted.recipe, "home/ada/tool/Singularity.2");
        assert_eq!(
            paths,
            [
                "etc Folder 0",
                "etc/motd File 2",
                "home Folder 0",
                "home/ada Folder 0",
                "home/ada/tool Folder 0",
                "home/ada/tool/Singularity File 6",
                "home/ada/tool/Singularity.2 File 19",
                "home/ada/tool/empty Folder 0",
                "home/ada/tool/run Executable 9",
            ]
        );
    }

    #[test]
    fn what_cannot_be_files_of_a_build_is_refused() {
        let file = EntryType::Regular;
        for (entries, told) in [
            (vec![("../etc/shadow", file, 0o644, "x")], ".."),
            (vec![("a/../../b", file, 0o644, "x")], ".."),
            (
                vec![("dev/null", EntryType::Char, 0o644, "")],
                "only files and folders",
            ),
            (
                vec![("link", EntryType::Symlink, 0o777, "")],
                "only files and folders",
            ),
            (
                vec![("big", file, 0o644, "more than ten bytes")],
                "fetch.size_mib",
            ),
            (
                vec![("a", file, 0o644, "x"), ("a/b", file, 0o644, "x")],
                "a file and a folder",
            ),
        ] {
            let refused = submitted(&entries, 10).unwrap_err();
            assert!(matches!(refused, FetchError::Refused(_)), "{refused:?}");
            assert!(refused.to_string().contains(told), "{refused}");
        }
    }

    #[test]
    fn a_name_fills_no_memory() {
        let name = "x".repeat(1 << 20);
        let entries = [("long", EntryType::GNULongName, 0o644, name.as_str())];
        let refused = submitted(&entries, 1 << 30).unwrap_err().to_string();
        assert!(refused.contains("too long"), "{refused}");
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(scratch.path().join("git")).unwrap();
        std::fs::write(scratch.path().join("x"), "no gzip").unwrap();
        let submission = Submission {
            build: BuildId::generate(),
            author: "ada".to_owned(),
            definition: Vec::new(),
            context: Some(BuildContext {
                archive: scratch.path().join("x"),
                folder: PathBuf::from("/"),
            }),
        };
        let refused = commit(&repository, &submission, 1 << 20).unwrap_err();
        assert!(refused.to_string().contains("no tar in gzip"), "{refused}");
    }
}
