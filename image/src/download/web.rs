//! Requests to a file of the web, and to where that redirects.
//!
//! # Security
//! No redirect leads from https to http, and the token of a hub goes to that hub: to its scheme, host
//! and port, and nowhere else.

use reqwest::Method;
use reqwest::blocking::{Client, Response};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{CONNECT_TIMEOUT, TIMEOUT};
use crate::engine::Sources;
use crate::error::Error;
use crate::oci::redirect;

const MOST_REDIRECTS: usize = 10;

/// A client that gives up when nothing comes.
pub(crate) struct Web<'a> {
    http: Client,
    sources: &'a Sources,
}

impl<'a> Web<'a> {
    /// Nothing is sent yet.
    pub(crate) fn new(sources: &'a Sources) -> Result<Self, Error> {
        // It fails only when one is installed already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = Client::builder()
            .user_agent(concat!("cooperage/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .build()
            .map_err(|error| Error::Internal(format!("cannot make an HTTP client: {error}")))?;
        Ok(Self { http, sources })
    }

    /// The answer of where an address leads in the end. The inner error is one of the network, which
    /// may be over when the same is asked again.
    pub(crate) fn ask(
        &self,
        method: &Method,
        first: &Url,
        headers: &HeaderMap,
    ) -> Result<Result<Response, reqwest::Error>, Error> {
        let mut url = first.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.http.request(method.clone(), url.clone());
            request = request.headers(headers.clone());
            // Whoever the hub sends elsewhere is not sent back with the token either.
            if url.origin() == first.origin()
                && let Some(token) = self.sources.token_for(&url)
            {
                request = request.header(AUTHORIZATION, bearer(token)?);
            }
            let response = match request.send() {
                Ok(response) if leads_on(&response) => response,
                other => return Ok(other),
            };
            url = redirect::next(&url, response.headers().get(LOCATION)).map_err(|what| {
                let help = "take the address of a server that keeps to https";
                refused(first, &format!("it sent {what}"), help)
            })?;
        }
        let help = "check the address: its redirects lead in a circle";
        Err(refused(first, "it redirects too often", help))
    }
}

/// 304 and 300 lead nowhere.
fn leads_on(response: &Response) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn bearer(token: &SecretString) -> Result<HeaderValue, Error> {
    let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
    let mut value = value.map_err(|_| Error::Machine {
        message: "token has characters that no token has".to_owned(),
        help: Some("log in again: cooperage login".to_owned()),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn refused(url: &Url, why: &str, help: &str) -> Error {
    Error::Base {
        message: format!("{url}: {why}"),
        help: Some(help.to_owned()),
    }
}
