//! A Docker engine, asked for an image over its HTTP API.
//!
//! See <https://docs.docker.com/reference/api/engine/>, "Export an image".

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::redirect::Policy;
use serde::Deserialize;

use super::archive::{Surroundings, copy};
use super::client::install_tls;
use super::transport::Obstacle;
use crate::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The engine may pack the image before it answers.
const TIMEOUT: Duration = Duration::from_mins(10);
const MOST_BODY: u64 = 64 << 10;

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// Has an engine write an image as `docker save` does, into a file without a name.
pub fn save_from_engine(
    engine: &str,
    image: &str,
    surroundings: &Surroundings<'_>,
) -> Result<File, Error> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let has_parts = image
        .split('/')
        .all(|part| !matches!(part, "" | "." | ".."));
    if !image.bytes().all(is_allowed) || !has_parts {
        return Err(Error::Base {
            message: format!("`{image}` is no name of an image of a Docker engine"),
            help: Some("From: is NAME[:TAG|@sha256:DIGEST] or an image's id".to_owned()),
        });
    }
    let (client, base) = connect(engine)?;
    let answer = client.get(format!("{base}/images/{image}/get")).send();
    let response = answer.map_err(|error| Error::Network {
        message: Obstacle::of(&error).sentence(&format!("the Docker engine at {engine}")),
        source: Some(Box::new(error.without_url())),
    })?;
    if !response.status().is_success() {
        return Err(refused(engine, image, response));
    }
    let mut response = response;
    copy(&mut response, image, surroundings)
}

/// A client and the address that it asks.
fn connect(engine: &str) -> Result<(Client, String), Error> {
    install_tls();
    let client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(Policy::none())
        .no_proxy();
    let (client, base) = if let Some(path) = engine.strip_prefix("unix://") {
        UnixStream::connect(path).map_err(|error| nobody(engine, &error))?;
        (
            client.unix_socket(Path::new(path)),
            "http://localhost".to_owned(),
        )
    } else if let Some(host) = engine.strip_prefix("tcp://") {
        (client, format!("http://{}", host.trim_end_matches('/')))
    } else {
        return Err(Error::Base {
            message: format!("`{engine}` is no address of a Docker engine that is understood"),
            help: Some(
                "DOCKER_HOST should be like unix:///var/run/docker.sock or tcp://127.0.0.1:2375"
                    .to_owned(),
            ),
        });
    };
    let client = client.build();
    let client = client.map_err(|error| Error::Internal(error.to_string()))?;
    Ok((client, base))
}

fn nobody(engine: &str, error: &io::Error) -> Error {
    let help = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "you may not use it: the machine's root can add you to the group docker"
        }
        _ => "start Docker, or name its address in DOCKER_HOST",
    };
    Error::Base {
        message: format!("no Docker engine answers at {engine}: {error}"),
        help: Some(help.to_owned()),
    }
}

fn refused(engine: &str, image: &str, response: Response) -> Error {
    let status = response.status();
    let mut body = Vec::new();
    let read = response.take(MOST_BODY).read_to_end(&mut body);
    let said = read
        .ok()
        .and_then(|_| serde_json::from_slice::<Refusal>(&body).ok());
    let said = said.map_or_else(String::new, |refusal| format!(": {}", refusal.message));
    if status == StatusCode::NOT_FOUND {
        return Error::Base {
            message: format!("the Docker engine at {engine} has no image {image}{said}"),
            help: Some(format!(
                "`docker images` lists what it has; `docker pull {image}` gets it"
            )),
        };
    }
    Error::Base {
        message: format!("the Docker engine at {engine} answered {status}{said}"),
        help: None,
    }
}
