//! Fetching images as clients do that are not Apptainer.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cooperage_protocol::Digest;
use reqwest::StatusCode;
use serde::Deserialize;

use crate::http;
use crate::hub::Hub;

/// The answer to a `shub://` client, as far as it reads it.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// Where the image is.
    pub image: String,
    /// A name of the image that no other has.
    pub commit: String,
    /// MD5 of the image.
    pub version: String,
}

/// Asks for an image (`owner/repo:tag`); nothing when there is none.
pub fn manifest(hub: &Hub, reference: &str) -> anyhow::Result<Option<Manifest>> {
    let url = hub.url(&format!("/api/container/{reference}"));
    let answer = http::client()?.get(url).send()?;
    if answer.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    Ok(Some(answer.error_for_status()?.json()?))
}

/// Downloads an image into the story's folder; its digest is the one that `builds` tells.
pub fn download(hub: &Hub, reference: &str, expected: Digest) -> anyhow::Result<PathBuf> {
    let manifest = manifest(hub, reference)?.with_context(|| format!("no image {reference}"))?;
    let bytes = http::client()?
        .get(&manifest.image)
        .send()?
        .error_for_status()?
        .bytes()?;
    let digest = sha256(&bytes);
    anyhow::ensure!(
        digest == expected.to_string(),
        "{reference} is {digest}, not {expected}"
    );
    let path = hub
        .folder()
        .join(format!("{}.sif", reference.replace(['/', ':'], "_")));
    std::fs::write(&path, &bytes)?;
    Ok(path)
}

/// The digest of bytes as it is written everywhere.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

/// The digest of a file, written the same way.
pub fn digest_of(file: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    Ok(sha256(&bytes))
}
