//! What does GitHub say?
//!
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads>

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::{BadSignature, Event, Malformed, Push, Repository, address, parse};

/// The name of this forge in the database and in URLs.
pub const NAME: &str = "github";

/// Checks `X-Hub-Signature-256` over the raw body, in constant time.
///
/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
pub fn verify_signature(secret: &[u8], header: &str, body: &[u8]) -> Result<(), BadSignature> {
    let signature = header
        .strip_prefix("sha256=")
        .and_then(|digits| hex::decode(digits).ok())
        .ok_or(BadSignature)?;

    Hmac::<Sha256>::new_from_slice(secret)
        .map_err(|_| BadSignature)?
        .chain_update(body)
        .verify_slice(&signature)
        .map_err(|_| BadSignature)
}

/// The repository that a payload is about; events of organisations and apps have none.
pub fn repository(json: &[u8]) -> Result<Option<Repository>, Malformed> {
    let payload: AnyPayload = parse(json)?;
    Ok(payload.repository.map(Repository::from))
}

/// Reads a payload whose signature is right.
pub fn parse_event(event: &str, json: &[u8]) -> Result<Event, Malformed> {
    match event {
        "push" => Ok(Event::Push(parse::<PushPayload>(json)?.into())),
        "ping" => Ok(Event::Ping),
        other => Ok(Event::Ignored {
            reason: format!("{other} events make no images"),
        }),
    }
}

#[derive(Deserialize)]
struct AnyPayload {
    repository: Option<RepositoryPayload>,
}

#[derive(Deserialize)]
struct PushPayload {
    repository: RepositoryPayload,
    #[serde(rename = "ref")]
    git_ref: String,
    before: String,
    after: String,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    forced: bool,
}

#[derive(Deserialize)]
struct RepositoryPayload {
    id: Option<i64>,
    #[serde(default)]
    full_name: String,
    default_branch: Option<String>,
    clone_url: Option<String>,
    html_url: Option<String>,
    ssh_url: Option<String>,
    git_url: Option<String>,
}

impl From<RepositoryPayload> for Repository {
    fn from(payload: RepositoryPayload) -> Self {
        let urls = [
            payload.clone_url,
            payload.html_url,
            payload.ssh_url,
            payload.git_url,
        ];
        Self {
            id: payload.id,
            full_name: payload.full_name,
            default_branch: payload.default_branch,
            addresses: urls
                .into_iter()
                .flatten()
                .map(|url| address(&url))
                .collect(),
        }
    }
}

impl From<PushPayload> for Push {
    fn from(payload: PushPayload) -> Self {
        let is_gone = !payload.after.is_empty() && payload.after.bytes().all(|byte| byte == b'0');
        Self {
            repository: payload.repository.into(),
            git_ref: payload.git_ref,
            before: payload.before,
            after: payload.after,
            deleted: payload.deleted || is_gone,
            forced: payload.forced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"It's a Secret to Everybody";
    const SIGNATURE: &str =
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn the_signature_that_github_documents_is_right() {
        assert_eq!(
            verify_signature(SECRET, SIGNATURE, b"Hello, World!"),
            Ok(())
        );
    }

    #[test]
    fn any_other_body_key_prefix_or_length_is_wrong() {
        let cut = &SIGNATURE[..70];
        let bare = SIGNATURE.trim_start_matches("sha256=");
        let sha1 = SIGNATURE.replace("sha256", "sha1");

        for header in ["", "sha256=", cut, bare, &sha1] {
            assert!(
                verify_signature(SECRET, header, b"Hello, World!").is_err(),
                "{header}"
            );
        }
        assert!(verify_signature(SECRET, SIGNATURE, b"Hello, World").is_err());
        assert!(verify_signature(b"another", SIGNATURE, b"Hello, World!").is_err());
    }

    #[test]
    fn a_push_is_read_with_everything_that_identifies_its_repository() {
        let json = br#"{"ref":"refs/heads/main","before":"1111111111111111111111111111111111111111",
            "after":"2222222222222222222222222222222222222222","forced":true,"commits":[],
            "repository":{"id":7,"full_name":"Lab/tool","default_branch":"main","private":false,
                "clone_url":"https://git.example/Lab/tool.git","ssh_url":"git@git.example:Lab/tool.git"}}"#;

        let Event::Push(push) = parse_event("push", json).unwrap() else {
            panic!("not a push")
        };

        assert_eq!(
            (push.git_ref.as_str(), push.forced, push.deleted),
            ("refs/heads/main", true, false)
        );
        assert_eq!(push.repository.id, Some(7));
        assert_eq!(push.repository.addresses, ["git.example/lab/tool"; 2]);
    }

    #[test]
    fn a_ref_that_now_names_nothing_is_deleted() {
        let json = br#"{"ref":"refs/heads/old","before":"1111111111111111111111111111111111111111",
            "after":"0000000000000000000000000000000000000000","repository":{"full_name":"lab/tool"}}"#;

        let Event::Push(push) = parse_event("push", json).unwrap() else {
            panic!("not a push")
        };

        assert!(push.deleted);
    }

    #[test]
    fn a_push_without_a_ref_is_malformed_and_other_events_are_ignored() {
        assert!(parse_event("push", br#"{"repository":{"full_name":"lab/tool"}}"#).is_err());
        assert!(matches!(
            parse_event("star", b"{}").unwrap(),
            Event::Ignored { .. }
        ));
        assert_eq!(parse_event("ping", b"{}").unwrap(), Event::Ping);
    }
}
