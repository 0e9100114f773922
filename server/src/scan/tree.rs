//! Which files does a commit have? A walk that no repository can make endless.

use git2::{Commit, Oid, Repository};

use super::fetch::FetchError;

/// Trees can name each other many times over, so that a small repository has more files than
/// fit on any disk.
const MOST_ENTRIES: usize = 500_000;

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
