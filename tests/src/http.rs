//! HTTP as stories speak it: with a limit on time and without following redirects unasked.

use std::time::Duration;

use reqwest::blocking::Client;

/// A client.
pub fn client() -> anyhow::Result<Client> {
    // It is installed once for the whole process; the second time is not an error.
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(Client::builder().timeout(Duration::from_mins(2)).build()?)
}

/// The body of a page, whatever its status.
pub fn text(url: &str) -> anyhow::Result<String> {
    Ok(client()?
        .get(url)
        .header("Accept", "text/html")
        .send()?
        .text()?)
}
