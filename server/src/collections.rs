//! How is a repository connected, and disconnected?

use cooperage_protocol::CollectionName;
use cooperage_protocol::admin::{AddedCollection, CollectionChange, NewCollection};
use url::Url;

use crate::db::collections::{self, Collection};
use crate::error::Error;
use crate::forge::github;
use crate::state::Hub;
use crate::workers::random_hex;

/// Owners whose pages would lie where the hub has its own.
const RESERVED_OWNERS: [&str; 18] = [
    "api",
    "worker",
    "webhooks",
    "static",
    "builds",
    "queue",
    "login",
    "logout",
    "deliveries",
    "images",
    "workers",
    "healthz",
    "v1",
    "v2",
    "pks",
    "assets",
    "auth",
    "collections",
];

/// Connects a repository; the answer has what to enter at the forge.
pub async fn add_collection(hub: &Hub, new: &NewCollection) -> Result<AddedCollection, Error> {
    check_name(&new.name)?;
    check_clone_url(&new.clone_url, hub.config.fetch.local_paths)?;
    let secret = random_hex();
    let row = collections::NewCollection {
        name: &new.name,
        clone_url: &new.clone_url,
        webhook_secret: &secret,
        max_running: new.max_running,
        mode: new.mode,
        step_cache: new.step_cache,
    };
    let Some(id) = collections::insert(&hub.db, &row).await? else {
        return Err(Error::Conflict(format!(
            "there is a collection {} already",
            new.name
        )));
    };
    tracing::info!(collection.id = %id, "connected {}", new.name);
    Ok(AddedCollection {
        name: new.name.clone(),
        webhook_url: hub.config.url(&format!("/webhooks/{}", github::NAME)),
        secret,
    })
}

/// Changes settings of a collection, from its next build on.
pub async fn change_collection(
    hub: &Hub,
    name: &CollectionName,
    change: &CollectionChange,
) -> Result<(), Error> {
    let collection = find(hub, name).await?;
    collections::change(&hub.db, collection.id, change).await?;
    Ok(())
}

/// Makes another secret for the webhook, and gives it to be entered at the forge. What is signed
/// with the one before is refused from then on.
pub(crate) async fn renew_secret(hub: &Hub, name: &CollectionName) -> Result<String, Error> {
    let collection = find(hub, name).await?;
    let secret = random_hex();
    collections::put_secret(&hub.db, collection.id, &secret).await?;
    tracing::info!(collection.id = %collection.id, "{name} has another webhook secret");
    Ok(secret)
}

/// The same, with what else is to be entered at the forge.
pub(crate) async fn renew(hub: &Hub, name: &CollectionName) -> Result<AddedCollection, Error> {
    let secret = renew_secret(hub, name).await?;
    Ok(AddedCollection {
        name: find(hub, name)
            .await?
            .name
            .parse()
            .map_err(anyhow::Error::from)?,
        webhook_url: hub.config.url(&format!("/webhooks/{}", github::NAME)),
        secret,
    })
}

/// Disconnects a repository: its builds, images and tags are gone. The collector of the store frees
/// the space.
pub async fn remove_collection(hub: &Hub, name: &CollectionName) -> Result<(), Error> {
    let collection = find(hub, name).await?;
    collections::delete(&hub.db, collection.id).await?;
    let repositories = hub.config.repositories();
    let folder = repositories.join(collection.id.to_string());
    for removed in [
        tokio::fs::remove_dir_all(folder).await,
        tokio::fs::remove_file(repositories.join(format!("{}.lock", collection.id))).await,
    ] {
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    tracing::info!(collection.id = %collection.id, "disconnected {name}");
    Ok(())
}

/// The collection of this name.
pub(crate) async fn find(hub: &Hub, name: &CollectionName) -> Result<Collection, Error> {
    collections::by_name(&hub.db, name)
        .await?
        .ok_or_else(|| Error::NotFound(format!("there is no collection {name}")))
}

pub(crate) fn check_name(name: &CollectionName) -> Result<(), Error> {
    let owner = name.owner().to_lowercase();
    if RESERVED_OWNERS.contains(&owner.as_str()) {
        return Err(Error::Unprocessable(format!(
            "the owner {:?} is one of the hub's own addresses: choose another",
            name.owner()
        )));
    }
    Ok(())
}

fn check_clone_url(clone_url: &str, local_paths: bool) -> Result<(), Error> {
    let is_web = Url::parse(clone_url)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let is_local = clone_url.starts_with('/') || clone_url.starts_with("file:///");
    match () {
        () if is_web || (is_local && local_paths) => Ok(()),
        () if is_local => Err(Error::Unprocessable(
            "the setting fetch.local_paths does not allow repositories on the hub's machine".into(),
        )),
        () => Err(Error::Unprocessable(format!(
            "clone URL {clone_url:?} is neither http://…, https://… nor an absolute path"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_that_would_hide_the_hubs_own_pages_are_refused() {
        assert!(check_name(&"Api/tool".parse().unwrap()).is_err());
        assert!(check_name(&"lab/api".parse().unwrap()).is_ok());
    }

    #[test]
    fn only_urls_that_can_be_fetched_are_connected() {
        for url in [
            "git@host:a/b",
            "ssh://host/a",
            "relative",
            "https://",
            "file://x",
            "-u",
        ] {
            assert!(check_clone_url(url, true).is_err(), "{url}");
        }
        assert!(check_clone_url("/srv/git", true).is_ok());
        assert!(check_clone_url("/srv/git", false).is_err());
        assert!(check_clone_url("https://git.example/a.git", false).is_ok());
    }
}
