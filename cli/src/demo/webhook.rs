//! A push told to the hub as GitHub tells it: the same headers, fields and signature.

use anyhow::{Context, ensure};
use chrono::Utc;
use cooperage_protocol::admin::AddedCollection;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::repository::{DemoRepository, Pushed};
use crate::hub::Hub;

/// Where the hub takes GitHub's webhooks.
pub(super) const PATH: &str = "/webhooks/github";

/// Posts the push, signed with the collection's secret; it must be accepted.
pub(super) fn deliver(
    hub: &Hub,
    collection: &AddedCollection,
    repository: &DemoRepository,
    pushed: &Pushed,
) -> anyhow::Result<()> {
    let body = serde_json::to_vec(&payload(collection, repository, pushed))?;
    let signature = sign(collection.secret.as_bytes(), &body)?;
    let client = reqwest::blocking::Client::builder().no_proxy().build()?;
    let url = format!("{}{PATH}", hub.base().as_str().trim_end_matches('/'));
    let answer = client
        .post(url)
        .header("Content-Type", "application/json")
        .header("User-Agent", "GitHub-Hookshot/demo")
        .header("X-GitHub-Event", "push")
        .header("X-GitHub-Delivery", uuid::Uuid::new_v4().to_string())
        .header("X-Hub-Signature-256", format!("sha256={signature}"))
        .body(body)
        .send()
        .context("sending the webhook")?;
    let status = answer.status();
    ensure!(
        status.is_success(),
        "webhook was answered {status}: {}",
        answer.text()?
    );
    Ok(())
}

/// The signature of <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>.
fn sign(secret: &[u8], body: &[u8]) -> anyhow::Result<String> {
    let mac = Hmac::<Sha256>::new_from_slice(secret).context("secret of the webhook")?;
    Ok(hex::encode(mac.chain_update(body).finalize().into_bytes()))
}

fn payload(collection: &AddedCollection, repository: &DemoRepository, pushed: &Pushed) -> Value {
    let name = &collection.name;
    let address = repository.path().to_string_lossy();
    let person = json!({ "name": "Demo", "email": "demo@localhost", "username": "demo" });
    let is_first = pushed.before.bytes().all(|digit| digit == b'0');
    let commit = json!({
        "id": pushed.commit,
        "distinct": true,
        "message": pushed.message,
        "timestamp": Utc::now().to_rfc3339(),
        "author": person,
        "committer": person,
        "added": if is_first { pushed.changed.clone() } else { Vec::new() },
        "removed": [],
        "modified": if is_first { Vec::new() } else { pushed.changed.clone() },
    });
    json!({
        "ref": pushed.branch,
        "before": pushed.before,
        "after": pushed.commit,
        "created": is_first,
        "deleted": false,
        "forced": false,
        "base_ref": null,
        "repository": {
            "id": 1,
            "name": name.repository(),
            "full_name": name.to_string(),
            "private": false,
            "owner": { "name": name.owner(), "login": name.owner() },
            "html_url": address,
            "clone_url": address,
            "default_branch": "main",
        },
        "pusher": { "name": "Demo", "email": "demo@localhost" },
        "sender": { "login": "demo", "type": "User" },
        "head_commit": commit,
        "commits": [commit],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of GitHub's documentation.
    #[test]
    fn the_signature_is_the_one_that_the_forge_would_make() {
        let signature = sign(b"It's a Secret to Everybody", b"Hello, World!").unwrap();

        let expected = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature, expected);
    }
}
