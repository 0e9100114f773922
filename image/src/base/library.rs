//! `Bootstrap: library`: an image of a container library is the base.
//!
//! There is no library of the world: a header names one, or the settings do. A token is shown to
//! the library of the settings alone.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#library-bootstrap-agent>

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;

use super::download::Downloader;
use super::{Base, Bootstrapper, Downloads, localimage, signed};
use crate::definition::Library;
use crate::engine::{Event, Progress};
use crate::error::Error;

/// What a library tells of an image.
#[derive(Debug, Deserialize)]
struct Image {
    hash: String,
    #[serde(default)]
    size: Option<u64>,
}

#[derive(Deserialize)]
struct Answer {
    data: Image,
}

#[derive(Deserialize)]
struct Services {
    #[serde(rename = "libraryAPI")]
    library: Service,
}

#[derive(Deserialize)]
struct Service {
    uri: Url,
}

/// Downloads the image, unless the cache has it, and unpacks it.
pub(super) fn bootstrap(
    bootstrapper: &mut Bootstrapper<'_>,
    library: &Library,
) -> Result<Base, Error> {
    let image = download(bootstrapper.downloads(), library)?;
    let file = File::open(&image.path).map_err(Error::io("opening", &image.path))?;
    signed::require(
        bootstrapper,
        (&file, &image.reference),
        &library.fingerprints,
    )?;
    let config = localimage::unpack(bootstrapper, (&file, &image.reference))?;
    Ok(Base {
        reference: Some((image.reference, Some(image.digest))),
        ..localimage::image_base(config)
    })
}

/// An image of a library, in the cache.
pub(crate) struct Downloaded {
    pub(crate) path: PathBuf,
    reference: String,
    digest: String,
}

/// Downloads the image, unless the cache has it.
pub(crate) fn download(downloads: Downloads<'_>, library: &Library) -> Result<Downloaded, Error> {
    let reference = Reference::parse(&library.from)?;
    let mut downloader = Downloader::new(downloads.cancel)?;
    downloader.most_bytes = downloads.request.limits.disk;
    let server = server(downloads, library, &reference, &mut downloader)?;
    let name = reference.name.as_str();
    downloads.say(&format!("fetching {name} from {server}"));
    let architecture = downloads.platform().architecture().to_owned();
    let image = find(&downloader, &server, name, &architecture)?;
    let address = address(&server, "v1/imagefile", name, &architecture)?;
    Ok(Downloaded {
        path: to_cache(downloads, &downloader, &image, &address)?,
        reference: format!("library://{}/{name}", server.authority()),
        digest: image.hash.replacen('.', ":", 1),
    })
}

/// The hash of the image that the library has now.
pub(crate) fn state(downloads: Downloads<'_>, library: &Library) -> Result<String, Error> {
    let reference = Reference::parse(&library.from)?;
    let mut downloader = Downloader::new(downloads.cancel)?;
    let server = server(downloads, library, &reference, &mut downloader)?;
    let architecture = downloads.platform().architecture().to_owned();
    find(&downloader, &server, &reference.name, &architecture).map(|image| image.hash)
}

#[derive(Debug, PartialEq, Eq)]
struct Reference {
    host: Option<String>,
    /// `[ENTITY/[COLLECTION/]]CONTAINER:TAG`; the tag may be `sha256.…`.
    name: String,
}

impl Reference {
    /// The first of four parts is the library.
    fn parse(from: &str) -> Result<Self, Error> {
        let rest = from
            .strip_prefix("library:")
            .unwrap_or(from)
            .trim_start_matches('/');
        let parts: Vec<&str> = rest.split('/').collect();
        let is_word = |part: &&str| {
            let is_known = |at: char| at.is_ascii_alphanumeric() || "._-:".contains(at);
            part.starts_with(|at: char| at.is_ascii_alphanumeric()) && part.chars().all(is_known)
        };
        if parts.len() > 4 || !parts.iter().all(is_word) {
            return Err(Error::Base {
                message: format!("From {from} is not the name of an image of a library"),
                help: Some("write From: ENTITY/COLLECTION/CONTAINER:TAG".to_owned()),
            });
        }
        let (host, name) = match parts.as_slice() {
            [host, name @ ..] if name.len() == 3 => (Some((*host).to_owned()), name.join("/")),
            name => (None, name.join("/")),
        };
        let has_tag = name
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains(':'));
        let tag = if has_tag { "" } else { ":latest" };
        Ok(Self {
            host,
            name: format!("{name}{tag}"),
        })
    }
}

/// The library to ask: that of the reference, of the header, or of the settings.
fn server(
    downloads: Downloads<'_>,
    library: &Library,
    reference: &Reference,
    downloader: &mut Downloader<'_>,
) -> Result<Url, Error> {
    if let Some(address) = &library.library {
        return checked(address);
    }
    let sources = &downloads.settings.sources;
    let front = match (&reference.host, &sources.library) {
        (Some(host), _) => checked(&format!("{}://{host}", downloads.scheme(host)))?,
        (None, Some(address)) => {
            downloader.token.clone_from(&sources.library_token);
            checked(address)?
        }
        (None, None) => {
            return Err(Error::Base {
                message: "header names no library".to_owned(),
                help: Some(
                    "write Library: https://library.example.org, or set a library for all \
                     builds with COOPERAGE_LIBRARY"
                        .to_owned(),
                ),
            });
        }
    };
    let services = at(&front, "assets/config/config.prod.json")?;
    let services = downloader.find_text(&services).ok().flatten();
    let services = services.and_then(|json| serde_json::from_slice::<Services>(&json).ok());
    let found = services.map(|services| services.library.uri);
    // Who may be asked over https only shall not send us elsewhere over http.
    let found = found.filter(|url| url.scheme() == "https" || url.scheme() == front.scheme());
    let found = found.unwrap_or_else(|| front.clone());
    if found.origin() != front.origin() {
        downloader.token = None;
    }
    Ok(found)
}

fn checked(address: &str) -> Result<Url, Error> {
    let url = Url::parse(address).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| Error::Base {
        message: format!("{address} is not the address of a library"),
        help: Some("write Library: https://library.example.org".to_owned()),
    })
}

fn at(server: &Url, path: &str) -> Result<Url, Error> {
    let base = server.as_str().trim_end_matches('/');
    Url::parse(&format!("{base}/{path}")).map_err(|error| Error::Internal(error.to_string()))
}

fn address(server: &Url, service: &str, name: &str, architecture: &str) -> Result<Url, Error> {
    let mut url = at(server, &format!("{service}/{name}"))?;
    url.query_pairs_mut().append_pair("arch", architecture);
    Ok(url)
}

fn find(
    downloader: &Downloader<'_>,
    server: &Url,
    name: &str,
    architecture: &str,
) -> Result<Image, Error> {
    let wrong = |why: &str| Error::Base {
        message: format!("{name} of {server}: {why}"),
        help: None,
    };
    let url = address(server, "v1/images", name, architecture)?;
    let json = downloader.find_text(&url)?;
    let json =
        json.ok_or_else(|| wrong(&format!("the library has no such image for {architecture}")))?;
    let answer: Answer = serde_json::from_slice(&json)
        .map_err(|_| wrong("the library's answer is not what a library answers"))?;
    let hex = answer.data.hash.strip_prefix("sha256.").unwrap_or_default();
    if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong("the library does not tell its SHA-256"));
    }
    let asked = name
        .rsplit_once(':')
        .map(|(_, tag)| tag)
        .unwrap_or_default();
    if asked.starts_with("sha256.") && asked != answer.data.hash {
        return Err(wrong(&format!(
            "the library has {} instead",
            answer.data.hash
        )));
    }
    Ok(answer.data)
}

/// The image in the cache, whose name is its hash.
fn to_cache(
    downloads: Downloads<'_>,
    downloader: &Downloader<'_>,
    image: &Image,
    url: &Url,
) -> Result<PathBuf, Error> {
    let folder = downloads.settings.cache.join("images");
    fs::create_dir_all(&folder).map_err(Error::io("making the folder", &folder))?;
    let path = folder.join(image.hash.to_ascii_lowercase());
    if path.exists() && has_hash(&path, &image.hash)? {
        return Ok(path);
    }
    let mut file = tempfile::Builder::new()
        .prefix(".partial-")
        .tempfile_in(&folder)
        .map_err(Error::io("making a file in", &folder))?;
    downloader.file(url, &mut file, &|done, total| {
        let (step, total) = ("image", total.or(image.size));
        (downloads.events)(Event::Progress(Progress { step, done, total }));
    })?;
    if !has_hash(file.path(), &image.hash)? {
        return Err(Error::Base {
            message: format!(
                "{url} is not the image {} that the library names",
                image.hash
            ),
            help: Some("build again; if that does not help, its copy is damaged".to_owned()),
        });
    }
    let kept = file.persist(&path).map_err(|error| error.error);
    kept.map_err(Error::io("writing", &path))?;
    Ok(path)
}

fn has_hash(path: &std::path::Path, hash: &str) -> Result<bool, Error> {
    let mut file = File::open(path).map_err(Error::io("opening", path))?;
    let mut digest = Hashing(Sha256::new());
    io::copy(&mut file, &mut digest).map_err(Error::io("reading", path))?;
    let found = format!("sha256.{}", hex::encode(digest.0.finalize()));
    Ok(found.eq_ignore_ascii_case(hash))
}

struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_the_first_of_four_parts() {
        let parsed = Reference::parse("library://lib.example.org:8080/lab/tools/cow:v1").unwrap();
        assert_eq!(parsed.host.as_deref(), Some("lib.example.org:8080"));
        assert_eq!(parsed.name, "lab/tools/cow:v1");

        let parsed = Reference::parse("lab/tools/cow").unwrap();
        assert_eq!(
            parsed,
            Reference {
                host: None,
                name: "lab/tools/cow:latest".to_owned()
            }
        );
        assert_eq!(Reference::parse("alpine:3").unwrap().name, "alpine:3");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for from in [
            "",
            "a/b/c/d/e",
            "a//c",
            "lab/to ol",
            "lab/tool?x=y",
            "lab/../tool",
        ] {
            assert!(Reference::parse(from).is_err(), "{from}");
        }
    }
}
