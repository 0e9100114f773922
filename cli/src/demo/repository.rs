//! The demo's git repository: bare, in the data folder, one commit more for every run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use git2::{ErrorCode, Oid, Repository, RepositoryInitOptions, Signature};

use super::recipe::Recipe;

const BRANCH: &str = "refs/heads/main";
const FILE_MODE: i32 = 0o100_644;

/// The repository that the demo pushes to.
pub(super) struct DemoRepository {
    path: PathBuf,
    git: Repository,
}

/// A push as the forge would tell of it.
#[derive(Debug)]
pub(super) struct Pushed {
    /// The branch's commit before, zeros when there was none.
    pub(super) before: String,
    /// The branch's commit now.
    pub(super) commit: String,
    /// The full name of the branch.
    pub(super) branch: &'static str,
    /// The paths that the commit changes.
    pub(super) changed: Vec<&'static str>,
    /// The commit's message.
    pub(super) message: String,
}

impl DemoRepository {
    /// Opens the repository, or makes it.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).initial_head("main").no_reinit(false);
        let git = Repository::init_opts(path, &options)
            .with_context(|| format!("making the repository {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            git,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many commits were pushed so far.
    pub(super) fn pushes(&self) -> usize {
        let count = || {
            let mut walk = self.git.revwalk()?;
            walk.push_ref(BRANCH)?;
            Ok::<_, git2::Error>(walk.count())
        };
        count().unwrap_or(0)
    }

    /// Commits the recipes and moves the branch.
    pub(super) fn push(&self, recipes: &[Recipe]) -> anyhow::Result<Pushed> {
        let before = match self.git.refname_to_id(BRANCH) {
            Ok(id) => Some(self.git.find_commit(id)?),
            Err(error) if error.code() == ErrorCode::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let mut tree = self.git.treebuilder(None)?;
        for (path, text) in recipes {
            tree.insert(path, self.git.blob(text.as_bytes())?, FILE_MODE)?;
        }
        let tree = self.git.find_tree(tree.write()?)?;
        let author = Signature::now("Demo", "demo@localhost")?;
        let message = format!("Say hello, push {}", self.pushes() + 1);
        let parents: Vec<_> = before.iter().collect();
        let commit = self
            .git
            .commit(Some(BRANCH), &author, &author, &message, &tree, &parents)?;
        Ok(Pushed {
            before: before
                .map_or_else(|| Oid::ZERO_SHA1, |commit| commit.id())
                .to_string(),
            commit: commit.to_string(),
            branch: BRANCH,
            changed: recipes.iter().map(|(path, _)| *path).collect(),
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_push_is_one_more_commit_on_the_branch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello.git");
        let recipe = |text: &str| [("Singularity", text.to_owned())];

        let first = DemoRepository::open(&path)
            .unwrap()
            .push(&recipe("one"))
            .unwrap();
        let again = DemoRepository::open(&path).unwrap();
        let second = again.push(&recipe("two")).unwrap();

        assert_eq!(first.before, "0".repeat(40));
        assert_eq!(second.before, first.commit);
        assert_eq!(again.pushes(), 2);
    }
}
