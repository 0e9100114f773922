//! Where are the files that a remote build copies, between their sending and its submission? In a
//! folder of the hub, named by account and digest, for a day at most.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use axum::body::BodyDataStream;
use chrono::Utc;
use cooperage_protocol::{Digest, UserId};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::rights::signed::{self, Purpose};
use crate::state::Hub;
use crate::store::upload::{SILENCE, blocking, broken, refuse};

/// How long an address is good that files are sent to, in seconds.
const ADDRESS_SECONDS: i64 = 4 * 3600;

/// How long files wait for a build.
const KEPT: Duration = Duration::from_hours(24);

/// How many an account may have that wait.
const MOST: usize = 16;

/// What an address says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Address {
    account: UserId,
    size: u64,
    until: i64,
    proof: String,
}

/// An address to send files to, without an account; nothing when they are here already.
pub(crate) async fn expect(
    hub: &Hub,
    account: UserId,
    (digest, size): (Digest, u64),
) -> Result<Option<String>, Error> {
    let most = hub.config.fetch.size_mib.saturating_mul(1 << 20);
    if size > most {
        let message = format!("a build context may have {most} bytes, and this has {size}");
        return Err(Error::TooLarge(message));
    }
    if tokio::fs::try_exists(path(hub, account, digest)).await? {
        return Ok(None);
    }
    if of_account(hub, account).await? >= MOST {
        return Err(Error::Conflict(format!(
            "an account may have {MOST} build contexts that no build took: delete one, or wait a day"
        )));
    }
    let until = Utc::now().timestamp() + ADDRESS_SECONDS;
    let said = text(account, digest, size, until);
    let proof = signed::sign(hub, Purpose::BuildContext, &said)?;
    Ok(Some(hub.config.url(&format!(
        "/v1/build-context/{}?account={account}&size={size}&until={until}&proof={proof}",
        hash(digest)
    ))))
}

/// Takes the files that are sent to an address.
pub(crate) async fn receive(
    hub: &Hub,
    digest: Digest,
    address: &Address,
    body: BodyDataStream,
) -> Result<(), Error> {
    let said = text(address.account, digest, address.size, address.until);
    let is_good = signed::is_signed(hub, Purpose::BuildContext, &said, &address.proof)?;
    if !is_good || address.until < Utc::now().timestamp() {
        return Err(Error::Forbidden(
            "this address is not one that the hub gave, or its time is over: build again",
        ));
    }
    let folder = folder(hub);
    // What is not whole is removed with this.
    let mut part = blocking(move || {
        std::fs::create_dir_all(&folder)?;
        Ok(tempfile::NamedTempFile::new_in(&folder)?)
    })
    .await?;
    let found = fill(&mut part, address.size, body).await?;
    if found != digest {
        let message = format!("what was sent has the digest {found}, not {digest}");
        return Err(Error::Unprocessable(message));
    }
    let target = path(hub, address.account, digest);
    blocking(move || {
        part.persist(target)
            .map(drop)
            .map_err(|error| refuse(error.error))
    })
    .await
}

/// The files of this digest that an account sent.
pub(crate) async fn find(hub: &Hub, account: UserId, digest: Digest) -> Result<PathBuf, Error> {
    let path = path(hub, account, digest);
    if tokio::fs::try_exists(&path).await? {
        return Ok(path);
    }
    Err(Error::NotFound(format!(
        "there is no build context {} of yours: send it first",
        hash(digest)
    )))
}

/// Forgets them, if they are here.
pub(crate) async fn remove(hub: &Hub, account: UserId, digest: Digest) -> Result<(), Error> {
    match tokio::fs::remove_file(path(hub, account, digest)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Forgets those that nobody took for a day, and what a hub left that ended while it received.
pub(super) async fn expire(hub: &Hub) -> Result<(), Error> {
    for (path, changed) in all(hub).await? {
        if changed.elapsed().is_ok_and(|age| age > KEPT) {
            tokio::fs::remove_file(&path).await?;
        }
    }
    Ok(())
}

async fn fill(
    part: &mut tempfile::NamedTempFile,
    size: u64,
    mut body: BodyDataStream,
) -> Result<Digest, Error> {
    let (mut hash, mut length) = (Sha256::new(), 0_u64);
    loop {
        let piece = tokio::time::timeout(SILENCE, body.next());
        let Some(piece) = piece.await.map_err(|_| broken("nothing came any more"))? else {
            break;
        };
        let piece = piece.map_err(broken)?;
        length = length.saturating_add(piece.len() as u64);
        if length > size {
            break;
        }
        // A piece is a few KiB for the page cache.
        part.write_all(&piece).map_err(refuse)?;
        hash.update(&piece);
    }
    if length != size {
        let message = format!("the build context was said to have {size} bytes, not {length}");
        return Err(Error::Unprocessable(message));
    }
    Ok(Digest::from_bytes(hash.finalize().into()))
}

async fn of_account(hub: &Hub, account: UserId) -> Result<usize, Error> {
    let prefix = format!("{account}.");
    let is_theirs = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(&prefix))
    };
    let all = all(hub).await?;
    Ok(all.iter().filter(|(path, _)| is_theirs(path)).count())
}

async fn all(hub: &Hub) -> Result<Vec<(PathBuf, SystemTime)>, Error> {
    let mut found = Vec::new();
    let mut entries = match tokio::fs::read_dir(folder(hub)).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    while let Some(entry) = entries.next_entry().await? {
        match entry.metadata().await {
            Ok(about) => found.push((entry.path(), about.modified()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

fn folder(hub: &Hub) -> PathBuf {
    hub.config.data.join("contexts")
}

fn path(hub: &Hub, account: UserId, digest: Digest) -> PathBuf {
    folder(hub).join(format!("{account}.{}", digest.hex()))
}

/// A digest as clients of the library write it.
fn hash(digest: Digest) -> String {
    format!("sha256.{}", digest.hex())
}

fn text(account: UserId, digest: Digest, size: u64, until: i64) -> String {
    format!("{account} {digest} {size} {until}")
}
