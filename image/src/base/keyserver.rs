//! Public keys that are in no keyring of this machine: keyservers are asked for them.
//!
//! # Security
//! A keyserver is not believed: what it sends counts only if it is the key of the very fingerprint
//! that was asked for. All it can do is keep something to itself.
//!
//! <https://datatracker.ietf.org/doc/html/draft-shaw-openpgp-hkp-00>

use url::Url;

use super::Downloads;
use super::download::Downloader;
use crate::error::Error;
use crate::sif::{Fingerprint, Keyring, PublicKey};

/// The key as the first of the keyservers sends it that has it; nothing if none has it.
pub(super) fn find(
    downloads: Downloads<'_>,
    fingerprint: &Fingerprint,
) -> Result<Option<PublicKey>, Error> {
    let mut first_error = None;
    for server in &downloads.settings.sources.keyservers {
        let server = checked(server)?;
        // There may be a password before the host.
        let name = server.origin().ascii_serialization();
        downloads.say(&format!("asking {name} for the key {fingerprint}"));
        match ask(downloads, &server, fingerprint) {
            Ok(Some(key)) => return Ok(Some(key)),
            Ok(None) => {}
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    first_error.map_or(Ok(None), Err)
}

fn ask(
    downloads: Downloads<'_>,
    server: &Url,
    fingerprint: &Fingerprint,
) -> Result<Option<PublicKey>, Error> {
    let mut url = server.clone();
    let path = format!("{}/pks/lookup", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.query_pairs_mut()
        .append_pair("op", "get")
        .append_pair("options", "mr")
        .append_pair("search", &format!("0x{fingerprint}"));
    let Some(text) = Downloader::new(downloads.cancel)?.find_text(&url)? else {
        return Ok(None);
    };
    let key = Keyring::parse(&text).ok();
    let key = key.and_then(|keys| keys.find(fingerprint));
    key.map(Some).ok_or_else(|| Error::Base {
        message: format!(
            "what {} sent is not this key, or says of nobody whose it is",
            server.origin().ascii_serialization()
        ),
        help: Some("ask its owner for the key and import it (`apptainer key import`)".to_owned()),
    })
}

fn checked(server: &str) -> Result<Url, Error> {
    let url = Url::parse(server).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| Error::Machine {
        message: format!("{server} is not the address of a keyserver"),
        help: Some("write COOPERAGE_KEYSERVER=https://keys.openpgp.org".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::path::Path;
    use std::sync::Mutex;
    use std::thread::{self, JoinHandle};

    use super::*;
    use crate::engine::{Cancel, Context, Event, Output, Request, Roots, Settings, Sources};
    use crate::oci::Registries;
    use crate::sandbox::{Identity, Network};
    use crate::sif::test_keys::Signer;

    /// A server that gives one answer to one request, and tells what was asked for.
    fn serve(status: &'static str, body: String) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let lines = lines.map_while(Result::ok);
            let asked: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let head = format!("HTTP/1.1 {status}\r\nConnection: close");
            let length = body.len();
            write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
            asked[0].clone()
        });
        (address, server)
    }

    fn settings(keyservers: Vec<String>) -> Settings {
        Settings {
            cache: "/nowhere".into(),
            scratch: "/nowhere".into(),
            registries: Registries::default(),
            sources: Sources {
                keyservers,
                ..Sources::default()
            },
            identity: Identity::default(),
            network: Network::default(),
            environment: BTreeMap::new(),
            roots: Roots::default(),
        }
    }

    /// What comes of asking these keyservers, and what is said meanwhile.
    fn ask_all(
        keyservers: Vec<String>,
        fingerprint: &Fingerprint,
    ) -> (Result<Option<PublicKey>, Error>, String) {
        let said = Mutex::new(String::new());
        let context = Context::Anywhere {
            folder: Path::new("/").to_owned(),
        };
        let output = Output::Sif("/nowhere/image.sif".into());
        let downloads = Downloads {
            settings: &settings(keyservers),
            request: &Request::new("tool", Vec::new(), context, output),
            events: &|event| {
                if let Event::Info(line) = event {
                    said.lock().unwrap().push_str(line);
                }
            },
            cancel: &Cancel::default(),
        };
        let found = find(downloads, fingerprint);
        (found, said.into_inner().unwrap())
    }

    #[test]
    fn a_key_is_asked_for_by_its_whole_fingerprint_where_it_may_be() {
        let ada = Signer::new();
        let (without, _) = serve("404 Not Found", String::new());
        let (with, asked) = serve("200 OK", ada.armored());

        let servers = vec![without, format!("{with}/keys/")];
        let (found, _) = ask_all(servers, &ada.fingerprint());

        assert!(found.unwrap().unwrap().has(&ada.fingerprint()));
        let expected = format!(
            "GET /keys/pks/lookup?op=get&options=mr&search=0x{} HTTP/1.1",
            ada.fingerprint()
        );
        assert_eq!(asked.join().unwrap(), expected);
    }

    #[test]
    fn another_key_and_what_is_no_key_are_refused() {
        let (ada, eve) = (Signer::new(), Signer::new());
        let mut nameless = ada.public();
        nameless.details.users.clear();
        let nameless = nameless.to_armored_string(pgp::composed::ArmorOptions::default());
        for text in [eve.armored(), nameless.unwrap(), "<html>".to_owned()] {
            let (server, _) = serve("200 OK", text);

            let (found, _) = ask_all(vec![server], &ada.fingerprint());

            let error = found.unwrap_err().to_string();
            assert!(error.contains("is not this key"), "{error}");
        }
    }

    #[test]
    fn a_key_that_no_server_has_is_none_and_a_server_that_cannot_say_is_an_error() {
        let ada = Signer::new();
        let (without, _) = serve("404 Not Found", String::new());
        let (refusing, _) = serve("403 Forbidden", String::new());
        let (also_without, _) = serve("404 Not Found", String::new());

        let (none, _) = ask_all(vec![without], &ada.fingerprint());
        let (error, _) = ask_all(vec![refusing, also_without], &ada.fingerprint());

        assert!(none.unwrap().is_none());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("403"), "{error}");
    }

    #[test]
    fn an_address_is_checked_and_its_password_is_not_shown() {
        let ada = Signer::new();
        let (server, _) = serve("200 OK", ada.armored());
        let with_password = server.replace("http://", "http://ada:s3cret@");

        let (found, said) = ask_all(vec![with_password], &ada.fingerprint());
        let (refused, _) = ask_all(vec!["keys.example.org".to_owned()], &ada.fingerprint());

        assert!(found.unwrap().is_some());
        assert!(said.contains("asking http://127.0.0.1"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("not the address of a keyserver"), "{error}");
    }
}
