//! Images that a URI names: made once, kept in the cache, and made again when there is another.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::engine::{Cancel, Context, Engine, Event, Output, Request, Settings, Test};
use crate::error::Error;
use crate::oci::{self, Accounts, Credentials, Fetch, Platform, Reference};

/// Agents that Apptainer knows without slashes after the colon.
const WITHOUT_SLASHES: [&str; 4] = ["docker-archive", "docker-daemon", "oci", "oci-archive"];

/// An image of a registry, or of anything else that a definition can begin with.
#[derive(Debug)]
pub struct Remote {
    /// A bootstrap agent, `://`, and what it begins from.
    pub uri: String,
    /// Where relative paths start.
    pub folder: PathBuf,
    /// Accounts for registries.
    pub credentials: Credentials,
    /// Files of accounts.
    pub account_files: Vec<PathBuf>,
    /// Address of the Docker engine that `docker-daemon` asks.
    pub docker_engine: Option<String>,
}

impl Remote {
    /// Whether a text names an image by a URI, and not by a path.
    pub fn is_named_by(text: &str) -> bool {
        let agent = text.split_once(':').map(|(agent, _)| agent);
        let is_local = agent.is_some_and(|agent| WITHOUT_SLASHES.contains(&agent));
        text.contains("://") || is_local && !Path::new(text).exists()
    }

    /// The image in the cache. What a registry has now is asked for each time; without an answer
    /// there is an error, and never an older image.
    pub fn image(
        &self,
        settings: &Settings,
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
    ) -> Result<PathBuf, Error> {
        let (agent, from) = self.parts()?;
        let images = settings.cache.join("images");
        fs::create_dir_all(&images).map_err(Error::io("making", &images))?;
        let state = match agent {
            "docker" => Some(self.digest(from, settings, events, cancel)?),
            _ => self.state_of_file(from),
        };
        let name = hash(&[&self.uri, state.as_deref().unwrap_or_default()]);
        let image = images.join(format!("{name}.sif"));
        let _turn = lock(&images.join(format!("{name}.lock")))?;
        if state.is_none() || !image.exists() {
            self.build(&image, settings, events, cancel)?;
        }
        Ok(image)
    }

    fn parts(&self) -> Result<(&str, &str), Error> {
        let parts = self.uri.split_once(':');
        let parts = parts.map(|(agent, from)| (agent, from.strip_prefix("//").unwrap_or(from)));
        let is_whole = |(agent, from): &(&str, &str)| !agent.is_empty() && !from.is_empty();
        parts.filter(is_whole).ok_or_else(|| Error::Base {
            message: format!("{} is no URI of an image", self.uri),
            help: Some("write docker://ubuntu:22.04".to_owned()),
        })
    }

    /// What tells one state of an archive from another; nothing if it is no file.
    fn state_of_file(&self, from: &str) -> Option<String> {
        let path = self.folder.join(from.split(':').next()?);
        let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        Some(format!(
            "{} {} {} {}.{} {}.{}",
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec()
        ))
    }

    fn digest(
        &self,
        from: &str,
        settings: &Settings,
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
    ) -> Result<String, Error> {
        let reference: Reference =
            from.parse()
                .map_err(|error: oci::ReferenceError| Error::Base {
                    message: error.to_string(),
                    help: Some("write docker://[REGISTRY/]REPOSITORY[:TAG|@DIGEST]".to_owned()),
                })?;
        let accounts = Accounts {
            given: self.credentials.clone(),
            header: None,
            files: self.account_files.clone(),
        };
        let wanted = Fetch {
            reference: &reference,
            platform: &Platform::host(),
            registries: &settings.registries,
            accounts: &accounts,
            cache: &settings.cache,
            most_bytes: None,
        };
        Ok(oci::resolve(&wanted, events, cancel)?.to_string())
    }

    fn build(
        &self,
        image: &Path,
        settings: &Settings,
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let (agent, from) = self.parts()?;
        let definition = format!("Bootstrap: {agent}\nFrom: {from}\n").into_bytes();
        let context = Context::Anywhere {
            folder: self.folder.clone(),
        };
        let output = Output::Sif(image.to_owned());
        let request = Request {
            overwrite: true,
            test: Test::Skip,
            credentials: self.credentials.clone(),
            account_files: self.account_files.clone(),
            docker_engine: self.docker_engine.clone(),
            ..Request::new(&self.uri, definition, context, output)
        };
        Engine::new(settings.clone()).build(&request, events, cancel)?;
        Ok(())
    }
}

/// Another version of ours may make another image.
fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in [&[env!("CARGO_PKG_VERSION")], parts].concat() {
        hash.update(part);
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).map_err(Error::io("creating", path))?;
    file.lock().map_err(Error::io("locking", path))?;
    Ok(file)
}
