//! What does a forge say? One file per forge: check its signature, read its events.

pub mod github;

use serde::Deserialize;

/// What a webhook tells, whichever forge sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A branch or tag was pushed, moved or deleted.
    Push(Push),
    /// The forge tries whether anybody listens.
    Ping,
    /// Nothing that concerns images.
    Ignored {
        /// Why.
        reason: String,
    },
}

/// A ref that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The repository.
    pub repository: Repository,
    /// The branch or tag, in full (`refs/heads/main`).
    pub git_ref: String,
    /// The object it named before; zeros when it is new.
    pub before: String,
    /// The object it names now; zeros when it was deleted.
    pub after: String,
    /// It is gone.
    pub deleted: bool,
    /// It left the commits it had before.
    pub forced: bool,
}

/// A repository as a forge describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    /// The forge's own id; it outlives renames.
    pub id: Option<i64>,
    /// `owner/name` at the forge.
    pub full_name: String,
    /// The branch that the forge shows first.
    pub default_branch: Option<String>,
    /// Every URL the payload gives it, as [`address`]es.
    pub addresses: Vec<String>,
}

/// The body of a webhook could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// The signature is missing, of another kind, or of another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("webhook signature does not match")]
pub struct BadSignature;

/// The part of a repository's URL that is the same however it is cloned.
///
/// `https://git.example/Lab/tool.git` and `git@git.example:Lab/tool` are both
/// `git.example/lab/tool`. The column `collections.address` is made by the same rule.
pub fn address(url: &str) -> String {
    let (rest, has_scheme) = match url.split_once("://") {
        Some((scheme, rest)) if scheme.chars().all(|c| c.is_ascii_alphabetic() || c == '+') => {
            (rest, true)
        }
        _ => (url, false),
    };
    let host = rest.split('/').next().unwrap_or_default();
    let without_user = match host.rsplit_once('@') {
        Some((user, _)) => &rest[user.len() + 1..],
        None => rest,
    };
    let mut address = without_user.to_lowercase();
    if !has_scheme && host.contains('@') {
        address = address.replacen(':', "/", 1);
    }
    let trimmed = address.trim_end_matches('/');
    trimmed.strip_suffix(".git").unwrap_or(trimmed).to_owned()
}

/// The JSON of a webhook: the body itself, or the field `payload` of a form.
pub fn json_of<'a>(
    content_type: &str,
    body: &'a [u8],
) -> Result<std::borrow::Cow<'a, [u8]>, Malformed> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(body.into());
    }
    url::form_urlencoded::parse(body)
        .find(|(name, _)| name == "payload")
        .map(|(_, value)| value.into_owned().into_bytes().into())
        .ok_or_else(|| Malformed("the form has no field payload".to_owned()))
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(json)
        .map_err(|error| Malformed(format!("the payload is not what the event says: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_a_repository_is_cloned_its_address_is_the_same() {
        for url in [
            "https://git.example/Lab/Tool.git",
            "http://user:word@git.example/lab/tool/",
            "git://git.example/lab/tool.git",
            "git@git.example:lab/tool.git",
            "ssh://git@git.example/lab/tool",
        ] {
            assert_eq!(address(url), "git.example/lab/tool", "{url}");
        }
        assert_eq!(address("/srv/git/demo.git"), "/srv/git/demo");
        assert_eq!(address("file:///srv/git/demo.git/"), "/srv/git/demo");
    }

    #[test]
    fn a_form_without_payload_is_malformed() {
        let form = "application/x-www-form-urlencoded; charset=utf-8";

        assert!(json_of(form, b"other=1").is_err());
        assert_eq!(
            json_of(form, b"a=1&payload=%7B%7D").unwrap().as_ref(),
            b"{}"
        );
    }
}
