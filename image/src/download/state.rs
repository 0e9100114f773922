//! What tells a file of the web as it is now from what it was before.

use reqwest::blocking::Response;
use reqwest::header::{CONTENT_LENGTH, HeaderMap};
use reqwest::{Method, StatusCode};
use url::Url;

use super::{Web, cause_of, header, refused};
use crate::error::Error;

/// What a server can say of a file's content; any of them will do.
const TELLING: [&str; 3] = ["etag", "last-modified", "repr-digest"];

/// Asks for the head of a file: another answer for another content. Nothing from a server that
/// does not tell.
pub(crate) fn state(web: &Web<'_>, url: &Url) -> Result<Option<String>, Error> {
    let answer = web.ask(&Method::HEAD, url, &HeaderMap::new())?;
    let answer = answer.map_err(|error| Error::Network {
        message: format!("{url} cannot be reached: {}", cause_of(&error)),
        source: None,
    })?;
    match answer.status() {
        status if status.is_success() => Ok(told(&answer)),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(None),
        status => Err(refused(url, status)),
    }
}

fn told(answer: &Response) -> Option<String> {
    let values: Vec<String> = TELLING
        .iter()
        .filter_map(|name| header(answer, name))
        .collect();
    let length = header(answer, CONTENT_LENGTH.as_str()).unwrap_or_default();
    (!values.is_empty()).then(|| format!("{} {length}", values.join(" ")))
}
