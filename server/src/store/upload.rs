//! How does an object get into the store? Whole and checked, or not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use axum::body::BodyDataStream;
use cooperage_protocol::Digest;
use futures_util::StreamExt;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use super::Store;
use crate::error::Error;

/// Bytes that have the digest they should have, but no name yet: dropped, they are gone.
#[derive(Debug)]
pub struct Received {
    upload: NamedTempFile,
    target: PathBuf,
    /// How many there are.
    pub size: u64,
}

impl Store {
    /// Takes the bytes of a body if they have this digest.
    pub async fn receive(
        &self,
        digest: Digest,
        most_bytes: u64,
        body: BodyDataStream,
    ) -> Result<Received, Error> {
        let upload = NamedTempFile::new_in(self.uploads()).map_err(refuse)?;
        let (found, size) = write(&upload, most_bytes, body).await?;
        if found != digest {
            return Err(Error::Unprocessable(format!(
                "the body has the digest {found}"
            )));
        }
        Ok(Received {
            upload,
            target: self.path(digest),
            size,
        })
    }

    /// Removes an object, if it is there.
    pub async fn remove(&self, digest: Digest) -> Result<(), Error> {
        match tokio::fs::remove_file(self.path(digest)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Received {
    /// Makes the bytes an object: they are on disk when this returns, and named only then.
    pub async fn publish(self) -> Result<(), Error> {
        tokio::task::spawn_blocking(move || publish(self.upload, &self.target))
            .await
            .map_err(anyhow::Error::from)?
            .map_err(refuse)
    }
}

async fn write(
    upload: &NamedTempFile,
    most_bytes: u64,
    mut body: BodyDataStream,
) -> Result<(Digest, u64), Error> {
    let mut file = tokio::fs::File::from_std(upload.reopen().map_err(refuse)?);
    let (mut hasher, mut size) = (Sha256::new(), 0_u64);
    while let Some(piece) = body.next().await {
        let piece =
            piece.map_err(|error| Error::BadRequest(format!("the upload broke off: {error}")))?;
        size = size.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if size > most_bytes {
            return Err(Error::TooLarge(format!(
                "an object may have {most_bytes} bytes"
            )));
        }
        hasher.update(&piece);
        file.write_all(&piece).await.map_err(refuse)?;
    }
    file.flush().await.map_err(refuse)?;
    Ok((Digest::from_bytes(hasher.finalize().into()), size))
}

fn publish(upload: NamedTempFile, target: &Path) -> io::Result<()> {
    let missing = || io::Error::other("an object lies in no folder");
    let folder = target.parent().ok_or_else(missing)?;
    let parent = folder.parent().ok_or_else(missing)?;
    std::fs::create_dir_all(folder)?;
    upload.as_file().sync_all()?;
    upload.persist(target).map_err(|error| error.error)?;
    for folder in [folder, parent] {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn refuse(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::NoSpace("the hub's disk is full")
        }
        _ => Error::from(error),
    }
}
