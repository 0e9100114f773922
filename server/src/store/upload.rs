//! How does an object get into the store? Whole and checked, or not at all. What a broken upload
//! brought stays beside the objects, and the next one goes on there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::BodyDataStream;
use cooperage_protocol::{BuildId, Digest};
use futures_util::StreamExt;
use sha2::{Digest as _, Sha256};

use super::Store;
use crate::error::Error;

/// How long a sender may be silent.
pub(crate) const SILENCE: Duration = Duration::from_mins(1);

/// Bytes read at a time of what came before.
const PIECE: usize = 256 << 10;

/// An object that a build sends.
#[derive(Debug, Clone, Copy)]
pub struct Upload {
    /// The build.
    pub build: BuildId,
    /// The SHA-256 it should have.
    pub digest: Digest,
    /// The size it should have.
    pub size: u64,
}

/// What a part of an object brought.
#[derive(Debug)]
pub enum Progress {
    /// More has to come.
    Partial,
    /// It is all there.
    Complete(Received),
}

/// Bytes that have the digest they should have, but not yet its name.
#[derive(Debug)]
pub struct Received {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) target: PathBuf,
}

impl Store {
    /// How many bytes of an object came so far.
    pub async fn received(&self, upload: Upload) -> io::Result<u64> {
        match tokio::fs::metadata(self.upload(upload.build, upload.digest)).await {
            Ok(found) => Ok(found.len().min(upload.size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Takes the bytes of a body as those of the object from `offset` on.
    pub async fn append(
        &self,
        upload: Upload,
        offset: u64,
        body: BodyDataStream,
    ) -> Result<Progress, Error> {
        let path = self.upload(upload.build, upload.digest);
        let target = self.path(upload.digest);
        let opened = path.clone();
        let partial = blocking(move || Partial::open(&opened, offset)).await?;
        let partial = partial.fill(upload.size, body).await?;
        if partial.length < upload.size {
            return Ok(Progress::Partial);
        }
        let found = Digest::from_bytes(partial.hasher.finalize().into());
        if partial.length > upload.size || found != upload.digest {
            super::remove(&path).await?;
            return Err(Error::Unprocessable(if partial.length > upload.size {
                format!("the body has more than the {} bytes offered", upload.size)
            } else {
                format!("the object has the digest {found}")
            }));
        }
        Ok(Progress::Complete(Received {
            file: partial.file,
            path,
            target,
        }))
    }

    /// Bytes that the hub itself makes for the image of a build, which nobody else publishes.
    pub(crate) async fn write(&self, build: BuildId, bytes: &[u8]) -> Result<Received, Error> {
        let path = self.uploads().join(format!("{build}.signed"));
        let (target, bytes) = (self.path(Digest::of(bytes)), bytes.to_owned());
        blocking(move || {
            let mut file = File::create(&path).map_err(refuse)?;
            file.write_all(&bytes).map_err(refuse)?;
            Ok(Received { file, path, target })
        })
        .await
    }
}

impl Received {
    /// Makes the bytes an object: they are on disk when this returns, and named only then.
    pub async fn publish(self) -> Result<(), Error> {
        blocking(move || publish(&self).map_err(refuse)).await
    }
}

/// The beginning of an object, which nobody else writes to as long as this is held.
struct Partial {
    file: File,
    length: u64,
    hasher: Sha256,
}

impl Partial {
    fn open(path: &Path, offset: u64) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut file = options.open(path).map_err(refuse)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path)? => {}
            Ok(()) | Err(TryLockError::WouldBlock) => {
                return Err(Error::Unavailable(
                    "another call sends the object just now".to_owned(),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let length = file.metadata()?.len();
        if length != offset {
            return Err(Error::WrongOffset { offset, length });
        }
        let hasher = hash(&mut file)?;
        Ok(Self {
            file,
            length,
            hasher,
        })
    }

    /// Takes what comes, and a little more than `size` when more comes.
    async fn fill(mut self, size: u64, mut body: BodyDataStream) -> Result<Self, Error> {
        loop {
            let piece = tokio::time::timeout(SILENCE, body.next());
            let Some(piece) = piece.await.map_err(|_| broken("nothing came any more"))? else {
                return Ok(self);
            };
            let piece = piece.map_err(broken)?;
            self.length += piece.len() as u64;
            if self.length > size {
                return Ok(self);
            }
            self.hasher.update(&piece);
            let mut file = self.file;
            self.file = blocking(move || {
                file.write_all(&piece).map_err(refuse)?;
                Ok(file)
            })
            .await?;
        }
    }
}

/// Whether the open file still has its name: it may have become an object, or been swept away.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn hash(file: &mut File) -> io::Result<Sha256> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; PIECE]);
    file.seek(SeekFrom::Start(0))?;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn publish(received: &Received) -> io::Result<()> {
    let missing = || io::Error::other("an object lies in no folder");
    let folder = received.target.parent().ok_or_else(missing)?;
    let parent = folder.parent().ok_or_else(missing)?;
    std::fs::create_dir_all(folder)?;
    received.file.sync_all()?;
    std::fs::rename(&received.path, &received.target)?;
    for folder in [folder, parent] {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(anyhow::Error::from)?
}

pub(crate) fn broken(why: impl std::fmt::Display) -> Error {
    Error::BadRequest(format!("the upload broke off: {why}"))
}

pub(crate) fn refuse(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::NoSpace("the hub's disk is full")
        }
        _ => Error::from(error),
    }
}
