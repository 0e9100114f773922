//! A Docker engine that is asked over the network.

use cooperage_image::oci::{Surroundings, save_from_engine};
use cooperage_image::{Cancel, Error, FailureKind};

use crate::server::{Answer, End, Server, answer};

fn save(engine: &str, image: &str) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let scratch = tempfile::tempdir().unwrap();
    let surroundings = Surroundings {
        scratch: scratch.path(),
        most_bytes: Some(1 << 20),
        cancel: &Cancel::default(),
    };
    let mut saved = Vec::new();
    let mut file = save_from_engine(engine, image, &surroundings)?;
    file.read_to_end(&mut saved).unwrap();
    Ok(saved)
}

#[test]
fn an_engine_at_an_address_is_asked_for_an_image() {
    let server = Server::start(|_, _| answer(200, "an archive"));

    let saved = save(&format!("tcp://{}", server.host), "team/app:1").unwrap();

    assert_eq!(saved, b"an archive");
    assert_eq!(
        server.requests.lock().unwrap()[0].path,
        "/images/team/app:1/get"
    );
}

#[test]
fn an_engine_that_refuses_is_told_with_its_reason() {
    let server = Server::start(|_, _| answer(404, r#"{"message":"No such image: app"}"#));
    let engine = format!("tcp://{}", server.host);

    let error = save(&engine, "app").unwrap_err();

    let expected = format!("the Docker engine at {engine} has no image app: No such image: app");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_engine_that_sends_without_end_ends_at_the_disk_limit() {
    let server = Server::start(|_, _| Answer {
        end: End::Endless,
        ..answer(200, vec![7; 64 << 10])
    });

    let error = save(&format!("tcp://{}", server.host), "app").unwrap_err();

    assert_eq!(error.kind(), FailureKind::Disk, "{error}");
}

#[test]
fn an_engine_that_is_not_there_is_told_with_its_address() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let engine = format!("tcp://{}", closed.local_addr().unwrap());
    drop(closed);

    let error = save(&engine, "app").unwrap_err();

    assert_eq!(
        error.to_string(),
        format!("nothing listens at the Docker engine at {engine}")
    );
    for engine in ["ssh://host", "/var/run/docker.sock", "tcp//host"] {
        let error = save(engine, "app").unwrap_err();
        assert!(error.to_string().contains("is no address"), "{error}");
    }
}
