//! Where a redirect may lead.

use reqwest::header::HeaderValue;
use url::Url;

use super::endpoint::authority;

/// The next address of a redirect, or what is wrong with it, in words that follow "it sent".
///
/// # Security
/// What was asked for over https is not taken over plain http.
pub(crate) fn next(from: &Url, location: Option<&HeaderValue>) -> Result<Url, String> {
    let location = location.and_then(|location| location.to_str().ok());
    let Some(next) = location.and_then(|location| from.join(location).ok()) else {
        return Err("a redirect without a valid address".to_owned());
    };
    let host = authority(&next);
    match (from.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => Ok(next),
        (_, "http") => Err(format!(
            "a redirect from https to plain http at {host}, which is not followed"
        )),
        (_, scheme) => Err(format!("a redirect to `{scheme}:`, which is not followed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_of(from: &str, location: &str) -> Result<String, String> {
        let location = HeaderValue::from_str(location).unwrap();
        next(&from.parse().unwrap(), Some(&location)).map(String::from)
    }

    #[test]
    fn redirects_lead_on_over_the_same_protocol_or_a_better_one() {
        for (from, location, to) in [
            ("https://a/x", "/y", "https://a/y"),
            (
                "https://a/x",
                "https://b:8443/y?s=1",
                "https://b:8443/y?s=1",
            ),
            ("http://a/x", "http://b/y", "http://b/y"),
            ("http://a/x", "https://b/y", "https://b/y"),
        ] {
            assert_eq!(next_of(from, location).as_deref(), Ok(to));
        }
    }

    #[test]
    fn a_redirect_from_https_to_http_is_told_with_its_host() {
        let refused = next_of("https://a/x", "http://b:81/y?signature=s3cret").unwrap_err();

        assert_eq!(
            refused,
            "a redirect from https to plain http at b:81, which is not followed"
        );
        assert!(next_of("https://a/x", "file:///etc/passwd").is_err());
        assert!(next_of("http://a/x", "http://").is_err());
        assert!(next(&"http://a/".parse().unwrap(), None).is_err());
    }
}
