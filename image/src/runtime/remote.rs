//! Images that a URI names: fetched or made once, kept in the cache, and again when there is
//! another.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use url::Url;

use crate::download::{self, Web};
use crate::engine::{Cancel, Context, Engine, Event, Output, Request, Settings, Test};
use crate::error::Error;
use crate::oci::Credentials;

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

    /// The image in the cache. Whoever has it is asked each time whether it changed; without an
    /// answer there is an error, and never an older image.
    pub fn image(
        &self,
        settings: &Settings,
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
    ) -> Result<PathBuf, Error> {
        let kept = Kept::of(&self.uri, &settings.cache)?;
        let source = Source {
            remote: self,
            engine: Engine::new(settings.clone()),
            events: &|event| tell(events, event),
            cancel,
        };
        let state = source.state();
        let state = state.map_err(|error| kept.named_in(error))?;
        let image = kept.image(state.as_deref().unwrap_or_default());
        let _turn = lock(&kept.lock)?;
        if state.is_some() && image.exists() {
            return Ok(image);
        }
        source.fetch(&image)?;
        if state.is_some() && source.state()? != state {
            fs::remove_file(&image).map_err(Error::io("removing", &image))?;
            return Err(Error::Base {
                message: format!("{} was changed while it was fetched", self.uri),
                help: Some("start it again".to_owned()),
            });
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

    /// What tells one state of an archive or a layout from another; nothing if it is neither.
    fn state_of_file(&self, from: &str) -> Option<String> {
        let path = self.folder.join(from.split([':', '@']).next()?);
        // All else of a layout has names that say what it is.
        let index = path.join("index.json");
        let path = if path.is_dir() { index } else { path };
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

    fn request(&self, output: &Path) -> Result<Request, Error> {
        let (agent, from) = self.parts()?;
        let definition = format!("Bootstrap: {agent}\nFrom: {from}\n").into_bytes();
        let context = Context::Anywhere {
            folder: self.folder.clone(),
        };
        let output = Output::Sif(output.to_owned());
        Ok(Request {
            overwrite: true,
            test: Test::Skip,
            credentials: self.credentials.clone(),
            account_files: self.account_files.clone(),
            docker_engine: self.docker_engine.clone(),
            ..Request::new(&self.uri, definition, context, output)
        })
    }
}

/// There is no definition that anybody could mend.
fn tell(events: &(dyn Fn(Event<'_>) + Sync), event: Event<'_>) {
    if !matches!(event, Event::Diagnostic(_)) {
        events(event);
    }
}

/// Who has the image.
struct Source<'a> {
    remote: &'a Remote,
    engine: Engine,
    events: &'a (dyn Fn(Event<'_>) + Sync),
    cancel: &'a Cancel,
}

impl Source<'_> {
    /// What tells the image as it is now from what it was before; nothing where nobody can tell.
    fn state(&self) -> Result<Option<String>, Error> {
        let (agent, from) = self.remote.parts()?;
        match agent {
            "http" | "https" => {
                let web = Web::new(&self.engine.settings.sources)?;
                download::state(&web, &self.url()?)
            }
            "docker" | "library" | "oras" | "shub" => {
                let request = self.remote.request(Path::new(""))?;
                self.engine
                    .state_of_base(&request, self.events, self.cancel)
            }
            _ => Ok(self.remote.state_of_file(from)),
        }
    }

    fn fetch(&self, image: &Path) -> Result<(), Error> {
        match self.remote.parts()?.0 {
            "http" | "https" => {
                self.engine
                    .pull_from_web(&self.url()?, image, self.events, self.cancel)
            }
            _ => {
                let request = self.remote.request(image)?;
                self.engine.pull(&request, self.events, self.cancel)
            }
        }
    }

    fn url(&self) -> Result<Url, Error> {
        let uri = &self.remote.uri;
        Url::parse(uri).map_err(|error| Error::Base {
            message: format!("{uri} is no address of the web: {error}"),
            help: Some("write https://HOST/PATH".to_owned()),
        })
    }
}

/// Where images of one URI are kept, each state of it under a name of its own.
struct Kept {
    folder: PathBuf,
    prefix: String,
    lock: PathBuf,
}

impl Kept {
    fn of(uri: &str, cache: &Path) -> Result<Self, Error> {
        let folder = cache.join("images");
        fs::create_dir_all(&folder).map_err(Error::io("making", &folder))?;
        let prefix = hash(&[uri]);
        let lock = folder.join(format!("{prefix}.lock"));
        Ok(Self {
            folder,
            prefix,
            lock,
        })
    }

    fn image(&self, state: &str) -> PathBuf {
        let state = hash(&[&self.prefix, state]);
        self.folder.join(format!("{}-{state}.sif", self.prefix))
    }

    /// An error that names the image which was fetched last, where nobody could be asked.
    fn named_in(&self, error: Error) -> Error {
        match (error, self.last()) {
            (Error::Network { message, source }, Some(last)) => Error::Network {
                message: format!(
                    "{message}; as it was when it was fetched last, the image is {}",
                    last.display()
                ),
                source,
            },
            (error, _) => error,
        }
    }

    fn last(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(&self.folder).ok()?.flatten();
        let own = entries.filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(&self.prefix) && name.ends_with(".sif")
        });
        let changed = |entry: &fs::DirEntry| entry.metadata().and_then(|it| it.modified()).ok();
        own.max_by_key(changed).map(|entry| entry.path())
    }
}

/// Another version of ours may make another image.
fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in [&[env!("CARGO_PKG_VERSION")], parts].concat() {
        hash.update(part);
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..16])
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).map_err(Error::io("creating", path))?;
    file.lock().map_err(Error::io("locking", path))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::engine::Sources;
    use crate::oci::Registries;
    use crate::sandbox::{Identity, Network};

    /// A server that gives a file of that state to some requests, and tells their methods.
    fn serve(
        listener: TcpListener,
        state: &'static str,
        requests: usize,
    ) -> thread::JoinHandle<String> {
        thread::spawn(move || {
            let mut methods = String::new();
            for _ in 0..requests {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head = lines
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty());
                let asked = head.collect::<Vec<_>>();
                let body = if asked[0].starts_with("GET") {
                    state
                } else {
                    ""
                };
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"{state}\"\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    state.len()
                )
                .unwrap();
                methods.push(asked[0].chars().next().unwrap());
            }
            methods
        })
    }

    fn settings(folder: &Path) -> Settings {
        Settings {
            cache: folder.join("cache"),
            scratch: folder.join("scratch"),
            registries: Registries::default(),
            sources: Sources::default(),
            identity: Identity::Auto,
            network: Network::None,
            environment: std::collections::BTreeMap::new(),
            roots: crate::engine::Roots::default(),
        }
    }

    fn remote(uri: String) -> Remote {
        Remote {
            uri,
            folder: PathBuf::from("."),
            credentials: Credentials::default(),
            account_files: Vec::new(),
            docker_engine: None,
        }
    }

    #[test]
    fn an_image_is_fetched_once_for_each_of_its_states() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = remote(format!(
            "http://{}/tool.sif",
            listener.local_addr().unwrap()
        ));
        let image = || remote.image(&settings, &|_| {}, &Cancel::default());

        let server = serve(listener.try_clone().unwrap(), "one", 5);
        let first = image().unwrap();
        assert_eq!(image().unwrap(), first);
        assert_eq!(
            server.join().unwrap(),
            "HGGHH",
            "the first G asks for pieces"
        );

        let server = serve(listener, "other", 4);
        let second = image().unwrap();
        assert_eq!(server.join().unwrap(), "HGGH");

        assert_eq!(fs::read_to_string(&first).unwrap(), "one");
        assert_eq!(fs::read_to_string(&second).unwrap(), "other");
        let refused = image().unwrap_err().to_string();
        assert!(refused.contains("cannot be reached"), "{refused}");
        assert!(refused.contains(&second.display().to_string()), "{refused}");
    }
}
