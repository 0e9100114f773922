//! Do the accounts of a collection get an image from its registry? A worker asks, because builds
//! ask from there too; the hub keeps the question and the answer.

use cooperage_protocol::check::Step;
use cooperage_protocol::worker::CheckAssignment;
use cooperage_protocol::{CheckId, CollectionId, CollectionName, RegistryCheck, WorkerId};

use crate::db::checks;
use crate::error::Error;
use crate::state::Hub;
use crate::{collections, credentials};

/// How long a worker may take to answer.
const LEASE_SECONDS: u32 = 60;

/// How long a check waits for a worker that takes it.
const WAIT_SECONDS: u32 = 600;

const LOST: &str = "no answer: the worker that asked the registry vanished";
const UNTAKEN: &str = "no answer: for ten minutes no worker was free to ask the registry; see at \
    the queue whether one runs, and whether it is up to date";

const LONGEST_URI: usize = 1024;

/// Asks whether an image can be had with the accounts of a collection.
pub async fn ask_check(
    hub: &Hub,
    name: &CollectionName,
    uri: &str,
) -> Result<RegistryCheck, Error> {
    let collection = collections::find(hub, name).await?;
    let uri = parse_uri(uri).map_err(Error::Unprocessable)?;
    let id = checks::insert(&hub.db, collection.id, uri).await?;
    tracing::info!(check.id = %id, collection.id = %collection.id, "{name} checks an image");
    find_check(hub, name, id).await
}

/// The newest checks of a collection, newest first.
pub(crate) async fn list(hub: &Hub, of: CollectionId) -> Result<Vec<RegistryCheck>, Error> {
    checks::list(&hub.db, of).await
}

/// A check of a collection, as far as it is.
pub async fn find_check(
    hub: &Hub,
    name: &CollectionName,
    id: CheckId,
) -> Result<RegistryCheck, Error> {
    let collection = collections::find(hub, name).await?;
    let check = checks::find(&hub.db, collection.id, id).await?;
    check.ok_or_else(|| Error::NotFound(format!("{name} has no check {id}")))
}

/// The check that waits longest, with what the worker needs for it.
pub(crate) async fn claim(hub: &Hub, worker: WorkerId) -> Result<Option<CheckAssignment>, Error> {
    let Some(leased) = checks::claim(&hub.db, worker, f64::from(LEASE_SECONDS)).await? else {
        return Ok(None);
    };
    Ok(Some(CheckAssignment {
        check: leased.id.into(),
        collection: leased.collection.parse().map_err(anyhow::Error::from)?,
        accounts: credentials::for_build(hub, leased.collection_id.into()).await?,
        uri: leased.uri,
        seconds: u64::from(LEASE_SECONDS),
    }))
}

/// Takes the answer of the worker that has the check.
pub(crate) async fn answer(
    hub: &Hub,
    id: CheckId,
    worker: WorkerId,
    steps: &[Step],
) -> Result<(), Error> {
    if checks::answer(&hub.db, id, worker, steps).await? {
        return Ok(());
    }
    let told = "the check is not this worker's to answer, or not any more";
    Err(Error::Conflict(told.to_owned()))
}

/// Ends the checks that nobody answered.
pub(crate) async fn expire(hub: &Hub) -> Result<u64, Error> {
    Ok(checks::expire(&hub.db, LOST, UNTAKEN, f64::from(WAIT_SECONDS)).await?)
}

/// An image's address as it may be stored and shown, or what is wrong with it.
///
/// # Security
/// What is refused is not repeated: somebody may have written a password into it.
pub(crate) fn parse_uri(text: &str) -> Result<&str, String> {
    let uri = text.trim();
    let rest = ["docker://", "oras://"]
        .iter()
        .find_map(|scheme| uri.strip_prefix(scheme))
        .unwrap_or(uri);
    let is_digest = |(_, version): (&str, &str)| version.starts_with("sha256:");
    let refused = |told: &str| Err(told.to_owned());
    match () {
        () if rest.is_empty() => refused("there is no image; one is docker://ghcr.io/lab/base:1.0"),
        () if uri.len() > LONGEST_URI => refused("an image's address is at most 1024 bytes long"),
        () if uri.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            refused("an image's address has no space in it: docker://ghcr.io/lab/base:1.0")
        }
        () if rest.contains("://") => {
            refused("only docker:// and oras:// images are in registries")
        }
        () if rest.split_once('@').is_some_and(|parts| !is_digest(parts)) => refused(
            "only a digest is written after @; a user name and a password are set as an account",
        ),
        () => Ok(uri),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_an_image_and_holds_no_password() {
        let digest = format!("oras://localhost:5000/a/b@sha256:{}", "0".repeat(64));
        for good in ["busybox", " docker://ghcr.io/lab/base:1.0 ", &digest] {
            assert_eq!(parse_uri(good), Ok(good.trim()));
        }
        let long = "a".repeat(1025);
        for bad in [
            "",
            "docker://",
            "library://lab/base",
            "a b",
            "docker://lab:hunter22@ghcr.io/lab/base",
            &long,
        ] {
            let told = parse_uri(bad).unwrap_err();
            assert!(!told.contains("hunter22"), "{told}");
        }
    }
}
