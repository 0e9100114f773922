//! How does a worker get the repository? As a tar of the commit's tree, made while it is sent.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;
use git2::{Commit, Repository};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::Source;
use super::fetch::{Mirror, parse_oid};
use super::tree::{self, Entry, Kind};

/// Pieces that wait for a slow worker; each is a write of the archive.
const QUEUED_PIECES: usize = 16;

/// Sends the tree of a commit that is here as a tar, the same bytes every time.
pub fn stream(source: Source, commit: String) -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(QUEUED_PIECES);
    tokio::task::spawn_blocking(move || {
        let pieces = io::BufWriter::with_capacity(64 << 10, Pieces(sender.clone()));
        if let Err(error) = send(&source, &commit, pieces) {
            tracing::warn!(
                error = format!("{error:#}"),
                "the context of {commit} broke off"
            );
            let broken = sender.blocking_send(Err(io::Error::other("the context broke off")));
            if broken.is_err() {
                tracing::debug!("nobody waits for the context of {commit}");
            }
        }
    });
    receiver
}

fn send(source: &Source, commit: &str, pieces: impl Write) -> anyhow::Result<()> {
    let mirror = Mirror::open(source)?;
    let commit = mirror.commit(parse_oid(commit)?)?;
    write(mirror.repository(), &commit, pieces)
}

/// Writes the tree of a commit as a tar; folders, files, links and nothing else.
pub(super) fn write(
    repository: &Repository,
    commit: &Commit<'_>,
    to: impl Write,
) -> anyhow::Result<()> {
    let mtime = u64::try_from(commit.time().seconds()).unwrap_or(0);
    let entries: Vec<Entry> = tree::entries(repository, commit)?;
    let mut archive = Builder::new(to);
    for entry in entries {
        append(&mut archive, repository, &entry, mtime)?;
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

fn append(
    archive: &mut Builder<impl Write>,
    repository: &Repository,
    entry: &Entry,
    mtime: u64,
) -> anyhow::Result<()> {
    let path = Path::new(OsStr::from_bytes(&entry.path));
    let mut header = Header::new_gnu();
    header.set_mtime(mtime);
    header.set_size(0);
    header.set_mode(if entry.kind == Kind::File {
        0o644
    } else {
        0o755
    });
    match entry.kind {
        Kind::Folder | Kind::Submodule => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, path, io::empty())?;
        }
        Kind::File | Kind::Executable => {
            let blob = repository.find_blob(entry.object)?;
            header.set_entry_type(EntryType::Regular);
            header.set_size(u64::try_from(blob.content().len())?);
            archive.append_data(&mut header, path, blob.content())?;
        }
        Kind::Link => {
            let blob = repository.find_blob(entry.object)?;
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            archive.append_link(&mut header, path, OsStr::from_bytes(blob.content()))?;
        }
    }
    Ok(())
}

struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
