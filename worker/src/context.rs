//! The repository at the commit: downloaded as a tar and unpacked so that nothing leaves its folder.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use futures_util::TryStreamExt;
use reqwest::Method;
use tar::EntryType;
use tokio::io::AsyncWriteExt;

use crate::attempt::{Attempt, AttemptError};

/// More entries than any repository of definitions has; fewer than exhaust the inodes.
const MOST_ENTRIES: usize = 500_000;

/// Longest definition that is read.
const LONGEST_RECIPE: u64 = 4 * 1024 * 1024;

/// How often a download that breaks off is begun again.
const DOWNLOAD_TRIES: u32 = 5;

/// What is wrong with a repository's content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    /// An entry that could lead out of the folder, or that git does not have.
    #[error("{0:?} in the repository's archive is not a plain file, folder or link inside it")]
    Entry(PathBuf),
    /// Larger than the disk limit, or too many files.
    #[error("repository is larger than the limit of {0}")]
    TooLarge(String),
    /// The recipe is not a file inside the repository.
    #[error("{0:?} is not a file inside the repository")]
    Recipe(String),
    /// The recipe is too long.
    #[error("{0:?} is longer than {LONGEST_RECIPE} bytes")]
    RecipeTooLong(String),
    /// The hub does not give the archive.
    #[error(transparent)]
    Call(#[from] AttemptError),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Downloads the repository's archive.
pub(crate) async fn download(
    attempt: &Attempt,
    to: &Path,
    most_bytes: u64,
) -> Result<(), ContextError> {
    let mut tries = 1;
    loop {
        match download_once(attempt, to, most_bytes).await {
            Err(ContextError::Io(error)) if tries < DOWNLOAD_TRIES => {
                tracing::warn!(%error, "download broke off, beginning again");
                tries += 1;
            }
            result => return result,
        }
    }
}

async fn download_once(attempt: &Attempt, to: &Path, most_bytes: u64) -> Result<(), ContextError> {
    let response = attempt
        .call(|| Ok(attempt.request(Method::GET, "context")))
        .await?;
    let mut file = tokio::fs::File::create(to).await?;
    let mut pieces = response.bytes_stream();
    let mut size = 0;
    while let Some(piece) = pieces.try_next().await.map_err(io::Error::other)? {
        size += piece.len() as u64;
        if size > most_bytes {
            return Err(too_large(most_bytes));
        }
        file.write_all(&piece).await?;
    }
    file.flush().await?;
    Ok(())
}

/// Unpacks the archive into `folder`, which is made, and removes it.
pub(crate) fn unpack(archive: &Path, folder: &Path, most_bytes: u64) -> Result<(), ContextError> {
    std::fs::create_dir(folder)?;
    let mut tar = tar::Archive::new(BufReader::new(File::open(archive)?));
    tar.set_preserve_permissions(false);
    let mut bytes = 0;
    for (count, entry) in tar.entries()?.enumerate() {
        let mut entry = entry?;
        bytes += entry.size();
        if bytes > most_bytes {
            return Err(too_large(most_bytes));
        }
        if count == MOST_ENTRIES {
            return Err(ContextError::TooLarge(format!("{MOST_ENTRIES} files")));
        }
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let path = entry.path()?.into_owned();
        if !is_allowed(kind) || !stays_inside(&path) || !entry.unpack_in(folder)? {
            return Err(ContextError::Entry(path));
        }
    }
    std::fs::remove_file(archive)?;
    Ok(())
}

fn is_allowed(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::Regular | EntryType::Continuous | EntryType::Directory | EntryType::Symlink
    )
}

fn stays_inside(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn too_large(most_bytes: u64) -> ContextError {
    ContextError::TooLarge(format!("{} MiB", most_bytes / (1024 * 1024)))
}

/// Reads the recipe: `root` joined with `recipe`, links followed only inside `root`.
pub(crate) fn read_recipe(root: &Path, recipe: &str) -> Result<Vec<u8>, ContextError> {
    let missing = || ContextError::Recipe(recipe.to_owned());
    if !stays_inside(Path::new(recipe)) {
        return Err(missing());
    }
    let root = root.canonicalize()?;
    let path = root.join(recipe).canonicalize().map_err(|_| missing())?;
    if !path.starts_with(&root) || !path.is_file() {
        return Err(missing());
    }
    let mut text = Vec::new();
    File::open(path)?
        .take(LONGEST_RECIPE + 1)
        .read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_RECIPE {
        return Err(ContextError::RecipeTooLong(recipe.to_owned()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tar of one entry whose path is written as it is: the builder would refuse bad ones.
    fn tar_of(path: &str, kind: EntryType, link: &str) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o644);
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn unpacked(entries: &[Vec<u8>]) -> (tempfile::TempDir, Result<(), ContextError>) {
        let scratch = tempfile::tempdir().unwrap();
        let archive = scratch.path().join("context.tar");
        std::fs::write(&archive, [entries.concat(), vec![0; 1024]].concat()).unwrap();
        let result = unpack(&archive, &scratch.path().join("context"), 1024);
        (scratch, result)
    }

    #[test]
    fn entries_that_could_leave_the_folder_are_refused() {
        for (path, kind, link) in [
            ("../escaped", EntryType::Regular, ""),
            ("/tmp/escaped", EntryType::Regular, ""),
            ("a/../../escaped", EntryType::Regular, ""),
            ("device", EntryType::Char, ""),
            ("pipe", EntryType::Fifo, ""),
            ("hard", EntryType::Link, "/etc/passwd"),
        ] {
            let (scratch, result) = unpacked(&[tar_of(path, kind, link)]);

            assert!(
                matches!(result, Err(ContextError::Entry(_))),
                "{path}: {result:?}"
            );
            assert!(!scratch.path().join("escaped").exists(), "{path}");
        }
    }

    #[test]
    fn nothing_is_written_through_a_link_that_leads_outside() {
        let outside = tempfile::tempdir().unwrap();
        let link = tar_of("link", EntryType::Symlink, outside.path().to_str().unwrap());
        let file = tar_of("link/escaped", EntryType::Regular, "");

        let (_scratch, result) = unpacked(&[link, file]);

        assert!(result.is_err());
        assert!(!outside.path().join("escaped").exists());
    }

    #[test]
    fn a_repository_over_the_limit_is_refused() {
        let mut header = tar_of("big", EntryType::Regular, "");
        header[124..136].copy_from_slice(b"00000004000\0");
        let mut header = tar::Header::from_byte_slice(&header).clone();
        header.set_cksum();

        let (_scratch, result) = unpacked(&[header.as_bytes().to_vec(), vec![1; 2048]]);

        assert!(
            matches!(result, Err(ContextError::TooLarge(_))),
            "{result:?}"
        );
    }

    #[test]
    fn a_recipe_is_read_only_inside_the_repository() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("Singularity"), "Bootstrap: scratch\n").unwrap();
        std::os::unix::fs::symlink("Singularity", root.path().join("inside")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("outside")).unwrap();

        assert_eq!(
            read_recipe(root.path(), "inside").unwrap(),
            b"Bootstrap: scratch\n"
        );
        for recipe in ["outside", "../x", "/etc/passwd", "absent", "."] {
            let read = read_recipe(root.path(), recipe);
            assert!(
                matches!(read, Err(ContextError::Recipe(_))),
                "{recipe}: {read:?}"
            );
        }
    }
}
