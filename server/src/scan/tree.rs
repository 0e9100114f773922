//! Which files does a commit have? A walk that no repository can make endless.

use git2::{Commit, Oid, Repository};

use super::fetch::FetchError;

/// Trees can name each other many times over, so that a small repository has more files than
/// fit on any disk.
const MOST_ENTRIES: usize = 500_000;

/// A file is held in memory while it is sent. Forges take no larger ones either.
const LARGEST_FILE: u64 = 256 << 20;

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file.
    File,
    /// A file that may be executed.
    Executable,
    /// A symbolic link: its content is where it points.
    Link,
    /// A folder.
    Folder,
    /// The commit of another repository, which is not here.
    Submodule,
}

/// A path of a commit.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Path from the top, slashes between folders.
    pub(super) path: Vec<u8>,
    /// The object.
    pub(super) object: Oid,
    /// What it is.
    pub(super) kind: Kind,
}

/// All entries of a commit, folders before what is in them.
pub(super) fn entries(
    repository: &Repository,
    commit: &Commit<'_>,
) -> Result<Vec<Entry>, FetchError> {
    let mut found = Vec::new();
    let mut waiting = vec![(Vec::new(), commit.tree_id())];
    while let Some((folder, id)) = waiting.pop() {
        let tree = repository.find_tree(id).map_err(anyhow::Error::from)?;
        for entry in &tree {
            if found.len() >= MOST_ENTRIES {
                let message = format!("the repository has more than {MOST_ENTRIES} files");
                return Err(FetchError::Refused(message));
            }
            let (name, Some(kind)) = (entry.name_bytes(), kind_of(entry.filemode())) else {
                continue;
            };
            if is_unsafe(name) {
                continue;
            }
            let path = [folder.as_slice(), name].concat();
            if kind == Kind::Folder {
                waiting.push(([&path, b"/".as_slice()].concat(), entry.id()));
            }
            found.push(Entry {
                path,
                object: entry.id(),
                kind,
            });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Refuses a commit whose files would fill memory or disk: a few bytes of a pack can stand for
/// any number of them.
pub(super) fn check_sizes(
    repository: &Repository,
    commit: &Commit<'_>,
    most_bytes: u64,
) -> Result<(), FetchError> {
    let mut total = 0_u64;
    for entry in entries(repository, commit)? {
        if !matches!(entry.kind, Kind::File | Kind::Executable | Kind::Link) {
            continue;
        }
        let size = size(repository, entry.object)?;
        if size > LARGEST_FILE {
            let path = String::from_utf8_lossy(&entry.path);
            let most = LARGEST_FILE >> 20;
            return Err(FetchError::Refused(format!(
                "{path} is larger than {most} MiB"
            )));
        }
        total = total.saturating_add(size);
    }
    if total <= most_bytes {
        return Ok(());
    }
    Err(FetchError::Refused(
        "the files of the commit are larger than fetch.size_mib allows".to_owned(),
    ))
}

/// Size of an object's content, which is not read for it.
pub(super) fn size(repository: &Repository, object: Oid) -> Result<u64, FetchError> {
    let header = repository.odb().and_then(|odb| odb.read_header(object));
    let (size, _) = header.map_err(anyhow::Error::from)?;
    Ok(u64::try_from(size).unwrap_or(u64::MAX))
}

fn kind_of(mode: i32) -> Option<Kind> {
    match mode {
        0o100_755 => Some(Kind::Executable),
        0o100_644 | 0o100_664 => Some(Kind::File),
        0o120_000 => Some(Kind::Link),
        0o040_000 => Some(Kind::Folder),
        0o160_000 => Some(Kind::Submodule),
        _ => None,
    }
}

/// Names that git itself never checks out: they would leave the folder or change its settings.
fn is_unsafe(name: &[u8]) -> bool {
    name.is_empty()
        || name == b"."
        || name == b".."
        || name.eq_ignore_ascii_case(b".git")
        || name.iter().any(|byte| matches!(byte, b'/' | 0))
}
