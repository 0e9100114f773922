//! At which hubs is this user logged in? Tokens lie in a file of theirs alone, in the form of
//! Docker's config.json, so that registries find them there too.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::config;

/// Any user name will do: the hub looks at the password, which is the token.
const USER: &str = "token";

/// A hub, and the token for it.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    /// The hub's address.
    pub(crate) hub: Url,
    /// The token.
    pub(crate) token: SecretString,
}

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    /// The hub of the last login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hub: Option<Url>,
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Serialize, Deserialize)]
struct Auth {
    auth: String,
}

/// The hub of the last login, unless it was logged out from.
pub(crate) fn active() -> anyhow::Result<Option<Login>> {
    let stored = read()?;
    let Some(hub) = stored.hub else {
        return Ok(None);
    };
    let auth = stored.auths.get(&host_of(&hub)?);
    Ok(auth.and_then(token_of).map(|token| Login { hub, token }))
}

/// All hubs that the user is logged in at. Of those before the last one only the host is kept: their
/// tokens are for https.
pub(crate) fn all() -> anyhow::Result<Vec<Login>> {
    let stored = read()?;
    let last = stored.hub.as_ref().map(host_of).transpose()?;
    let mut logins = Vec::new();
    for (host, auth) in &stored.auths {
        let hub = match &stored.hub {
            Some(hub) if last.as_ref() == Some(host) => hub.clone(),
            _ => Url::parse(&format!("https://{host}")).with_context(|| host.clone())?,
        };
        logins.extend(token_of(auth).map(|token| Login { hub, token }));
    }
    Ok(logins)
}

fn token_of(auth: &Auth) -> Option<SecretString> {
    let account = String::from_utf8(STANDARD.decode(&auth.auth).ok()?).ok()?;
    let (_, token) = account.split_once(':')?;
    Some(token.to_owned().into())
}

/// Keeps a token, in place of the one for the same hub.
pub(crate) fn keep(login: &Login) -> anyhow::Result<PathBuf> {
    let mut stored = read()?;
    let account = format!("{USER}:{}", login.token.expose_secret());
    let auth = STANDARD.encode(account);
    stored.auths.insert(host_of(&login.hub)?, Auth { auth });
    stored.hub = Some(login.hub.clone());
    write(&stored)
}

/// Forgets the token for a hub, or for that of the last login; gives the host.
pub(crate) fn forget(hub: Option<&Url>) -> anyhow::Result<String> {
    let mut stored = read()?;
    let hub = hub.or(stored.hub.as_ref());
    let host = host_of(hub.context("nobody is logged in at a hub")?)?;
    anyhow::ensure!(
        stored.auths.remove(&host).is_some(),
        "nobody is logged in at {host}"
    );
    let is_last = stored.hub.as_ref().map(host_of).transpose()? == Some(host.clone());
    if is_last {
        stored.hub = None;
    }
    write(&stored)?;
    Ok(host)
}

/// Host and port of a hub, as registries are named.
fn host_of(hub: &Url) -> anyhow::Result<String> {
    let host = hub
        .host_str()
        .with_context(|| format!("{hub} has no host"))?;
    Ok(hub
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn read() -> anyhow::Result<Stored> {
    let Some(path) = config::login_file() else {
        return Ok(Stored::default());
    };
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is not what `cooperage login` wrote", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Stored::default()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Written aside and renamed, so that nobody ever reads half of it.
fn write(stored: &Stored) -> anyhow::Result<PathBuf> {
    let path = config::login_file().context("there is no home to keep a token in: set HOME")?;
    let folder = path.parent().context("a file without a folder")?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| folder.display().to_string())?;
    let partial = path.with_extension("partial");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .with_context(|| partial.display().to_string())?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(&serde_json::to_vec_pretty(stored)?)?;
    file.sync_all()?;
    fs::rename(&partial, &path).with_context(|| path.display().to_string())?;
    Ok(path)
}
