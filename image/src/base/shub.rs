//! `Bootstrap: shub`: an image of a Singularity Hub is the base.
//!
//! The first of them, singularity-hub.org, is gone: a header names the hub, or the settings do.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#shub-bootstrap-agent>

use std::fs::File;
use std::io;
use std::path::Path;

use md5::{Digest, Md5};
use serde::Deserialize;
use tempfile::NamedTempFile;
use url::Url;

use super::download::Downloader;
use super::{Base, Bootstrapper, Downloads, localimage};
use crate::engine::{Event, Progress};
use crate::error::Error;

const GONE: &str = "singularity-hub.org";

/// What a hub tells of an image.
#[derive(Debug, Deserialize)]
struct Manifest {
    /// Where it is.
    image: String,
    /// Its MD5, from hubs that tell it.
    #[serde(default)]
    version: String,
}

/// Downloads the image and unpacks it.
pub(super) fn bootstrap(bootstrapper: &mut Bootstrapper<'_>, from: &str) -> Result<Base, Error> {
    let folder = bootstrapper.workspace.path();
    let image = download(bootstrapper.downloads(), from, folder)?;
    let file = image.file.as_file();
    let config = localimage::unpack(bootstrapper, (file, &image.name))?;
    Ok(Base {
        reference: Some((image.name, Some(format!("md5:{}", image.md5)))),
        ..localimage::image_base(config)
    })
}

/// An image of a hub.
pub(crate) struct Downloaded {
    pub(crate) file: NamedTempFile,
    name: String,
    md5: String,
}

/// The address of the image.
pub(crate) fn locate(downloads: Downloads<'_>, from: &str) -> Result<Url, Error> {
    let reference = Reference::parse(from, downloads.settings.sources.hub.as_deref())?;
    let name = format!("shub://{}/{}", reference.host, reference.image);
    downloads.say(&format!("fetching {name}"));
    let (url, _) = manifest(downloads, &reference, &name)?;
    Ok(url)
}

/// Downloads the image into a folder.
pub(crate) fn download(
    downloads: Downloads<'_>,
    from: &str,
    folder: &Path,
) -> Result<Downloaded, Error> {
    let reference = Reference::parse(from, downloads.settings.sources.hub.as_deref())?;
    let name = format!("shub://{}/{}", reference.host, reference.image);
    downloads.say(&format!("fetching {name}"));
    let mut downloader = Downloader::new(downloads.cancel)?;
    downloader.most_bytes = downloads.request.limits.disk;
    let manifest = manifest(downloads, &reference, &name)?;
    // The hub says where the image is: its token goes there only if that is the hub itself.
    let token = downloads.settings.sources.token_for(&manifest.0);
    downloader.token = token.cloned();
    let mut file =
        NamedTempFile::new_in(folder).map_err(Error::io("creating a file in", folder))?;
    downloader.file(&manifest.0, &mut file, &|done, total| {
        let step = "image";
        (downloads.events)(Event::Progress(Progress { step, done, total }));
    })?;
    let whole = file.reopen().map_err(Error::io("opening", file.path()))?;
    let md5 = md5_of(&whole, &name)?;
    verify(&md5, &manifest.1, &name)?;
    Ok(Downloaded { file, name, md5 })
}

/// What the hub calls the state of the image that it has now; nothing from a hub that has no word
/// for it.
pub(crate) fn state(downloads: Downloads<'_>, from: &str) -> Result<Option<String>, Error> {
    let reference = Reference::parse(from, downloads.settings.sources.hub.as_deref())?;
    let name = format!("shub://{}/{}", reference.host, reference.image);
    let (_, version) = manifest(downloads, &reference, &name)?;
    Ok(Some(version).filter(|version| !version.is_empty()))
}

#[derive(Debug, PartialEq, Eq)]
struct Reference {
    host: String,
    /// `OWNER/REPOSITORY[:TAG][@VERSION]`.
    image: String,
}

impl Reference {
    /// All parts before the last two are the hub.
    fn parse(from: &str, hub: Option<&str>) -> Result<Self, Error> {
        let from = from.strip_prefix("shub://").unwrap_or(from);
        let parts: Vec<&str> = from.split('/').collect();
        let wrong = || Error::Base {
            message: format!("From {from} is not the name of an image of a hub"),
            help: Some("write From: hub.example.org/OWNER/NAME:TAG".to_owned()),
        };
        let is_word = |part: &&str| {
            let is_known = |at: char| at.is_ascii_alphanumeric() || "._-:@".contains(at);
            part.starts_with(|at: char| at.is_ascii_alphanumeric()) && part.chars().all(is_known)
        };
        let ([.., owner, name], true) = (parts.as_slice(), parts.iter().all(is_word)) else {
            return Err(wrong());
        };
        let host = parts[..parts.len() - 2].join("/");
        let host = if host.is_empty() {
            hub.unwrap_or(GONE).to_owned()
        } else {
            host
        };
        if host == GONE {
            return Err(Error::Base {
                message: format!("From {from} is an image of {GONE}, which is gone"),
                help: Some(format!(
                    "name the hub that has it now: From: hub.example.org/{owner}/{name}"
                )),
            });
        }
        let has_version = name.contains([':', '@']);
        let tag = if has_version { "" } else { ":latest" };
        Ok(Self {
            host,
            image: format!("{owner}/{name}{tag}"),
        })
    }
}

/// Where the image is, and its MD5.
fn manifest(
    downloads: Downloads<'_>,
    reference: &Reference,
    name: &str,
) -> Result<(Url, String), Error> {
    let wrong = |why: &str| Error::Base {
        message: format!("{name}: {why}"),
        help: None,
    };
    let Reference { host, image } = reference;
    let scheme = downloads.scheme(host);
    let address = Url::parse(&format!("{scheme}://{host}/api/container/{image}"));
    let address = address.map_err(|error| wrong(&error.to_string()))?;
    let mut downloader = Downloader::new(downloads.cancel)?;
    downloader.token = downloads.settings.sources.token_for(&address).cloned();
    let json = downloader.find_text(&address)?;
    let json = json.ok_or_else(|| wrong("the hub has no such image"))?;
    let manifest: Manifest = serde_json::from_slice(&json)
        .map_err(|_| wrong("the hub's answer is not what a hub answers"))?;
    let mut url = Url::parse(&manifest.image).map_err(|_| wrong("its image has no address"))?;
    // As the other clients do: how the hub is reached is also how its images are.
    url.set_scheme(scheme)
        .map_err(|()| wrong("its image has no address of http or https"))?;
    Ok((url, manifest.version))
}

fn md5_of(file: &File, name: &str) -> Result<String, Error> {
    let mut hash = Hashing(Md5::new());
    let mut file = file;
    io::copy(&mut file, &mut hash).map_err(Error::io("reading", name))?;
    Ok(hex::encode(hash.0.finalize()))
}

struct Hashing(Md5);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn verify(md5: &str, version: &str, name: &str) -> Result<(), Error> {
    let is_known = version.len() == 32 && version.chars().all(|digit| digit.is_ascii_hexdigit());
    if !is_known || version.eq_ignore_ascii_case(md5) {
        return Ok(());
    }
    Err(Error::Base {
        message: format!("{name} has the MD5 {md5} and not {version}, as its hub says"),
        help: Some("build again; if that does not help, the hub's copy is damaged".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead as _, Write as _};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use super::*;
    use crate::engine::{Cancel, Context, Output, Request, Roots, Settings, Sources};
    use crate::oci::Registries;
    use crate::sandbox::{Identity, Network};

    #[test]
    fn the_hub_is_what_precedes_owner_and_name() {
        let parsed = Reference::parse("hub.example.org:8080/lab/tool:v1", None).unwrap();
        assert_eq!(parsed.host, "hub.example.org:8080");
        assert_eq!(parsed.image, "lab/tool:v1");

        let parsed = Reference::parse("lab/tool", Some("hub.example.org")).unwrap();
        assert_eq!(parsed.host, "hub.example.org");
        assert_eq!(parsed.image, "lab/tool:latest");

        let parsed = Reference::parse("shub://a/lab/tool@0cc175b9", None).unwrap();
        assert_eq!(parsed.image, "lab/tool@0cc175b9");
    }

    #[test]
    fn the_hub_that_is_gone_is_not_asked() {
        for from in ["lab/tool", "singularity-hub.org/lab/tool"] {
            let error = Reference::parse(from, None).unwrap_err().to_string();
            assert!(error.contains("gone"), "{error}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for from in [
            "",
            "tool",
            "a//tool",
            "h/lab/tool?x",
            "h/lab/to ol",
            "h/lab/..",
        ] {
            assert!(Reference::parse(from, Some("h")).is_err(), "{from}");
        }
    }

    /// A server that gives one answer to one request, and tells what was asked for.
    fn serve(body: String) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = io::BufReader::new(stream.try_clone().unwrap()).lines();
            let lines = lines.map_while(Result::ok);
            let asked: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}");
            write!(stream, "{head}\r\n\r\n{body}").unwrap();
            asked.join("\n").to_ascii_lowercase()
        });
        (host, server)
    }

    #[test]
    fn the_token_of_a_hub_does_not_go_where_the_hub_says_that_the_image_is() {
        let folder = tempfile::tempdir().unwrap();
        let (other, asked_of_other) = serve("an image".to_owned());
        let manifest = format!(r#"{{"image": "http://{other}/tool.sif"}}"#);
        let (hub, asked_of_hub) = serve(manifest);
        let token = (Url::parse(&format!("http://{hub}")).unwrap(), "s3cret");
        let settings = Settings {
            cache: folder.path().join("cache"),
            scratch: folder.path().to_owned(),
            registries: Registries::default(),
            sources: Sources {
                hub_tokens: vec![(token.0, token.1.to_owned().into())],
                ..Sources::default()
            },
            identity: Identity::default(),
            network: Network::default(),
            environment: BTreeMap::new(),
            roots: Roots::default(),
        };
        let output = Output::Sif(folder.path().join("tool.sif"));
        let context = Context::Anywhere {
            folder: folder.path().to_owned(),
        };
        let downloads = Downloads {
            settings: &settings,
            request: &Request::new("tool", Vec::new(), context, output),
            events: &|_| {},
            cancel: &Cancel::default(),
        };

        download(downloads, &format!("{hub}/lab/tool:v1"), folder.path()).unwrap();

        let asked = asked_of_hub.join().unwrap();
        assert!(asked.contains("authorization: bearer s3cret"), "{asked}");
        let asked = asked_of_other.join().unwrap();
        assert!(!asked.contains("authorization"), "{asked}");
    }
}
