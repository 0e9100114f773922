//! How does something get into the store that is pushed, whose digest and size are told only at
//! its end? In parts, which a broken connection may end anywhere.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use axum::body::BodyDataStream;
use cooperage_protocol::{Digest, PushId};
use futures_util::StreamExt;
use sha2::Digest as _;

use super::Store;
use super::upload::{self, Received, SILENCE, blocking, broken, refuse};
use crate::error::Error;

/// A part of something that is pushed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Where it begins, if the sender says so.
    pub(crate) offset: Option<u64>,
    /// Whether it may be sent again: what came from there on is forgotten.
    pub(crate) again: bool,
    /// The most bytes that the whole may have.
    pub(crate) most: u64,
}

impl Store {
    /// Makes room for what will be pushed.
    pub(crate) async fn begin_incoming(&self, id: PushId) -> Result<(), Error> {
        let path = self.incoming_at(id);
        blocking(move || File::create_new(&path).map(drop).map_err(refuse)).await
    }

    /// How many bytes came so far.
    pub(crate) async fn incoming_length(&self, id: PushId) -> io::Result<u64> {
        Ok(tokio::fs::metadata(self.incoming_at(id)).await?.len())
    }

    /// Takes a part; gives how many bytes there are with it.
    pub(crate) async fn append_incoming(
        &self,
        id: PushId,
        part: Part,
        body: BodyDataStream,
    ) -> Result<u64, Error> {
        let path = self.incoming_at(id);
        let (file, mut length) = blocking(move || open(&path)).await?;
        if let Some(offset) = part.offset.filter(|offset| part.again && *offset < length) {
            file.set_len(offset)?;
            length = offset;
        }
        if let Some(offset) = part.offset.filter(|offset| *offset != length) {
            return Err(Error::WrongOffset { offset, length });
        }
        fill(file, length, part.most, body).await
    }

    /// The bytes that came as those of an object; they stay when they have another digest.
    pub(crate) async fn complete_incoming(
        &self,
        id: PushId,
        digest: Digest,
    ) -> Result<(Received, u64), Error> {
        let (path, target) = (self.incoming_at(id), self.path(digest));
        blocking(move || {
            let (mut file, length) = open(&path)?;
            let found = Digest::from_bytes(upload::hash(&mut file)?.finalize().into());
            if found != digest {
                let message = format!("what was sent has {length} bytes and the digest {found}");
                return Err(Error::Unprocessable(message));
            }
            let received = Received { file, path, target };
            Ok((received, length))
        })
        .await
    }

    /// Removes what came.
    pub(crate) async fn remove_incoming(&self, id: PushId) -> io::Result<()> {
        super::remove(&self.incoming_at(id)).await
    }

    /// What lies there of pushes.
    pub(crate) async fn all_incoming(&self) -> io::Result<Vec<PushId>> {
        let mut entries = tokio::fs::read_dir(self.incoming()).await?;
        let mut ids = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse::<PushId>().ok()));
        }
        Ok(ids)
    }

    fn incoming_at(&self, id: PushId) -> PathBuf {
        self.incoming().join(id.to_string())
    }
}

/// Opens what came so far, for this caller alone.
fn open(path: &Path) -> Result<(File, u64), Error> {
    let busy = || Error::Conflict("another call sends to this upload just now".to_owned());
    let file = match OpenOptions::new().read(true).append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NotFound("this upload is over".to_owned()));
        }
        file => file.map_err(refuse)?,
    };
    match file.try_lock() {
        Ok(()) if upload::is_at(&file, path)? => {}
        Ok(()) | Err(TryLockError::WouldBlock) => return Err(busy()),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let length = file.metadata()?.len();
    Ok((file, length))
}

async fn fill(
    mut file: File,
    mut length: u64,
    most: u64,
    mut body: BodyDataStream,
) -> Result<u64, Error> {
    loop {
        let piece = tokio::time::timeout(SILENCE, body.next());
        let Some(piece) = piece.await.map_err(|_| broken("nothing came any more"))? else {
            return Ok(length);
        };
        let piece = piece.map_err(broken)?;
        length += piece.len() as u64;
        if length > most {
            return Err(Error::TooLarge(format!(
                "what is pushed may have {most} bytes"
            )));
        }
        file = blocking(move || {
            file.write_all(&piece).map_err(refuse)?;
            Ok(file)
        })
        .await?;
    }
}
