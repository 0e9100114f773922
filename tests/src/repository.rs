//! A forge: git repositories behind real `git http-backend`, and its signed webhooks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use cooperage_protocol::admin::AddedCollection;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::blocking::Response;
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

use crate::hub::Hub;
use crate::process::{self, Process};
use crate::{http, settings, wait};

const GIT: Duration = Duration::from_mins(1);

/// The commit before the first.
pub const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// A server of git repositories.
#[derive(Debug)]
pub struct Forge {
    url: String,
    folder: TempDir,
    _server: Process,
}

/// A repository that is connected to a hub.
#[derive(Debug)]
pub struct Repository {
    name: String,
    clone_url: String,
    bare: PathBuf,
    work: PathBuf,
    hook: AddedCollection,
}

impl Forge {
    /// Starts the server.
    pub fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("server.log");
        let root = folder.path().join("served");
        std::fs::create_dir(&root)?;
        let mut command = Command::new(settings::tool("git-server"));
        let server = Process::start(command.arg(&root), &log)?;
        let url = wait::until("the git server", GIT, || {
            let printed = std::fs::read_to_string(&log)?;
            Ok(printed
                .lines()
                .find(|line| line.starts_with("http"))
                .map(str::to_owned))
        })?;
        Ok(Self {
            url,
            folder,
            _server: server,
        })
    }

    /// Makes an empty repository and connects it to the hub under the same name.
    pub fn connect(&self, hub: &Hub, name: &str) -> anyhow::Result<Repository> {
        let bare = self
            .folder
            .path()
            .join("served")
            .join(format!("{name}.git"));
        let work = self.folder.path().join("work").join(name);
        git(
            self.folder.path(),
            &["init", "--quiet", "--bare", "-b", "main", &text(&bare)],
        )?;
        git(
            self.folder.path(),
            &["init", "--quiet", "-b", "main", &text(&work)],
        )?;
        let clone_url = format!("{}/{name}.git", self.url);
        let hook = hub.add_collection(&clone_url, name)?;
        Ok(Repository {
            name: name.to_owned(),
            clone_url,
            bare,
            work,
            hook,
        })
    }
}

impl Repository {
    /// Writes a file of the next commit.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let path = self.work.join(path);
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        std::fs::write(path, content)?;
        Ok(())
    }

    /// Commits what was written, pushes it to `main`, and tells the hub: the delivery was accepted.
    pub fn push(&self) -> anyhow::Result<()> {
        let payload = self.commit()?;
        let answer = self.deliver(&payload, &delivery_id())?;
        let status = answer.status();
        anyhow::ensure!(
            status == 202,
            "delivery was answered {status}: {}",
            answer.text()?
        );
        Ok(())
    }

    /// Commits and pushes without telling the hub; gives the payload that would tell it.
    pub fn commit(&self) -> anyhow::Result<Value> {
        let before = git(&self.work, &["rev-parse", "--quiet", "--verify", "HEAD"]).ok();
        git(&self.work, &["add", "--all"])?;
        git(
            &self.work,
            &[
                "commit",
                "--quiet",
                "--allow-empty",
                "--message",
                "Change the recipe",
            ],
        )?;
        git(&self.work, &["push", "--quiet", &text(&self.bare), "main"])?;
        let after = git(&self.work, &["rev-parse", "HEAD"])?;
        Ok(self.payload(before.as_deref().unwrap_or(NO_COMMIT), &after))
    }

    /// Sends a push as GitHub does, signed with the collection's secret.
    pub fn deliver(&self, payload: &Value, delivery: &str) -> anyhow::Result<Response> {
        let body = serde_json::to_vec(payload)?;
        let signature = sign(self.hook.secret.as_bytes(), &body)?;
        let request = http::client()?
            .post(&self.hook.webhook_url)
            .header("Content-Type", "application/json")
            .header("User-Agent", "GitHub-Hookshot/044aadd")
            .header("X-GitHub-Event", "push")
            .header("X-GitHub-Delivery", delivery)
            .header("X-Hub-Signature-256", signature)
            .body(body);
        Ok(request.send()?)
    }

    fn payload(&self, before: &str, after: &str) -> Value {
        let (owner, repository) = self.name.split_once('/').unwrap_or(("", &self.name));
        json!({
            "ref": "refs/heads/main",
            "before": before,
            "after": after,
            "created": before == NO_COMMIT,
            "deleted": false,
            "forced": false,
            "base_ref": null,
            "repository": {
                "id": 1,
                "name": repository,
                "full_name": self.name,
                "private": false,
                "owner": { "name": owner, "login": owner },
                "html_url": self.clone_url.trim_end_matches(".git"),
                "clone_url": self.clone_url,
                "default_branch": "main",
            },
            "pusher": { "name": "tester" },
            "sender": { "login": "tester" },
            "commits": [],
            "head_commit": { "id": after },
        })
    }
}

/// An id that no other delivery has.
pub fn delivery_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

fn sign(secret: &[u8], body: &[u8]) -> anyhow::Result<String> {
    let code = Hmac::<Sha256>::new_from_slice(secret)?
        .chain_update(body)
        .finalize();
    Ok(format!("sha256={}", hex::encode(code.into_bytes())))
}

fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Tester");
        command.env(format!("GIT_{role}_EMAIL"), "tester@example.org");
    }
    Ok(process::run(&mut command, GIT)?
        .success()?
        .trim()
        .to_owned())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of GitHub's manual on validating deliveries.
    #[test]
    fn a_delivery_is_signed_as_github_signs_it() {
        let signature = sign(b"It's a Secret to Everybody", b"Hello, World!").unwrap();

        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature, expected);
    }
}
