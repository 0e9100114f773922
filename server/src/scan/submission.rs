//! How does something become a commit here that nobody pushed? The definition and the files that
//! somebody sends are one, without parents, in the repository of the collection.

mod files;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use cooperage_protocol::BuildId;
use git2::{FileMode, Repository, Signature, Time};

use self::files::{Folder, Node, as_text};
use super::fetch::{FetchError, Mirror};
use super::{Source, blocking, tree};

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
    let (mut files, mut folder) = match &submission.context {
        Some(context) => (
            files::read(repository, &context.archive, most_bytes)?,
            files::names(&context.folder)?,
        ),
        None => (Folder::default(), Vec::new()),
    };
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

fn internal(error: git2::Error) -> FetchError {
    FetchError::Internal(error.into())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use git2::Oid;
    use tar::{Builder, EntryType, Header};

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
