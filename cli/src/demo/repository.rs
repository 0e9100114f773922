//! The demo's git repository: bare, in the data folder, one commit more for every run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::recipe::Recipe;

const BRANCH: &str = "refs/heads/main";
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// The repository that the demo pushes to.
pub(super) struct DemoRepository {
    path: PathBuf,
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
        let repository = Self {
            path: path.to_owned(),
        };
        std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
        repository.git(&["init", "--quiet", "--bare", "--initial-branch=main"], "")?;
        Ok(repository)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many commits were pushed so far.
    pub(super) fn pushes(&self) -> usize {
        let count = self.git(&["rev-list", "--count", BRANCH], "");
        count.ok().and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// Commits the recipes and moves the branch.
    pub(super) fn push(&self, recipes: &[Recipe]) -> anyhow::Result<Pushed> {
        let before = self
            .git(&["rev-parse", "--verify", "--quiet", BRANCH], "")
            .ok();
        let mut entries = Vec::new();
        for (path, text) in recipes {
            let blob = self.git(&["hash-object", "-w", "--stdin"], text)?;
            entries.push(format!("100644 blob {blob}\t{path}\n"));
        }
        let tree = self.git(&["mktree"], &entries.concat())?;
        let message = format!("Say hello, push {}", self.pushes() + 1);
        let mut commit = vec!["commit-tree", &tree];
        if let Some(before) = &before {
            commit.extend(["-p", before]);
        }
        let commit = self.git(&commit, &message)?;
        self.git(&["update-ref", BRANCH, &commit], "")?;
        Ok(Pushed {
            before: before.unwrap_or_else(|| NO_COMMIT.to_owned()),
            commit,
            branch: BRANCH,
            changed: recipes.iter().map(|(path, _)| *path).collect(),
            message,
        })
    }

    /// Runs git in the repository, without anybody's own settings; gives the first line it prints.
    fn git(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut git = Command::new("git")
            .arg("--git-dir")
            .arg(&self.path)
            .args(["-c", "user.name=Demo", "-c", "user.email=demo@localhost"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("running git; install the package git")?;
        if let Some(mut stdin) = git.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = git.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "git {} in {}: {}",
            arguments[0],
            self.path.display(),
            said.trim()
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
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
