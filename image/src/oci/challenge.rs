//! How a registry wants to be asked: the `WWW-Authenticate` header.
//!
//! See RFC 9110, section 11.6.1, and the registry token authentication specification.

use std::collections::BTreeMap;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password.
    Basic {
        /// What they are for, in the registry's words.
        realm: Option<String>,
    },
    /// A token from another server.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// Reads one header value; of several challenges in it the first known one counts, a bearer token
/// before a password.
pub(super) fn parse(value: &str) -> Option<Challenge> {
    let challenges = challenges(value);
    let bearer = challenges.iter().find_map(|(scheme, parameters)| {
        let realm = parameters
            .get("realm")
            .filter(|_| scheme == "bearer")?
            .clone();
        let (service, scope) = (parameters.get("service"), parameters.get("scope"));
        Some(Challenge::Bearer {
            realm,
            service: service.cloned(),
            scope: scope.cloned(),
        })
    });
    let basic = || {
        let (_, parameters) = challenges.iter().find(|(scheme, _)| scheme == "basic")?;
        let realm = parameters.get("realm").cloned();
        Some(Challenge::Basic { realm })
    };
    bearer.or_else(basic)
}

type Parameters = BTreeMap<String, String>;

fn challenges(value: &str) -> Vec<(String, Parameters)> {
    let mut found: Vec<(String, Parameters)> = Vec::new();
    for item in items(value) {
        let (head, value) = match item.split_once('=') {
            Some((head, value)) => (head.trim(), Some(unquoted(value.trim()))),
            None => (item.trim(), None),
        };
        // `Bearer realm="…"` begins a challenge; `service="…"` goes on with it.
        let (scheme, key) = match (head.split_once(' '), value.is_some()) {
            (Some((scheme, key)), true) => (Some(scheme), Some(key.trim())),
            (_, true) => (None, Some(head)),
            (_, false) => (Some(head), None),
        };
        if let Some(scheme) = scheme {
            found.push((scheme.to_ascii_lowercase(), Parameters::new()));
        }
        if let (Some((_, parameters)), Some(key), Some(value)) = (found.last_mut(), key, value) {
            parameters.insert(key.to_ascii_lowercase(), value);
        }
    }
    found
}

/// Splits at commas outside quotes: scopes have commas (`pull,push`).
fn items(value: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for character in value.chars() {
        if character == ',' && !quoted {
            items.push(String::new());
            continue;
        }
        if character == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && character == '\\' && !escaped;
        if let Some(item) = items.last_mut() {
            item.push(character);
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

fn unquoted(value: &str) -> String {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.map_or_else(
        || value.to_owned(),
        |inner| inner.replace("\\\"", "\"").replace("\\\\", "\\"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_challenge_tells_where_the_token_is() {
        let value = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;

        let expected = Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        };
        assert_eq!(parse(value), Some(expected));
    }

    #[test]
    fn of_several_challenges_the_token_is_taken() {
        let value = r#"Basic realm="x", Bearer realm="https://t/""#;

        assert!(matches!(parse(value), Some(Challenge::Bearer { .. })));
        let basic = |realm: Option<&str>| {
            let realm = realm.map(str::to_owned);
            Some(Challenge::Basic { realm })
        };
        assert_eq!(parse(r#"Basic realm="x""#), basic(Some("x")));
        assert_eq!(parse("Basic"), basic(None));
        assert_eq!(parse("Negotiate"), None);
    }
}
