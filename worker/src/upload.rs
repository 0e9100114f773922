//! Which bytes of an image have to be sent, and how do they reach a hub that breaks off? Only the
//! objects that the hub lacks, and of each only what did not arrive yet.

use std::io::{Seek as _, SeekFrom};
use std::time::Duration;

use cooperage_image::pack::{Object, ObjectBytes};
use cooperage_protocol::Digest;
use cooperage_protocol::worker::{Missing, MissingObject, Offer, OfferedObject};
use reqwest::{Method, RequestBuilder, header};
use tokio_util::io::ReaderStream;

use crate::attempt::{Attempt, AttemptError};
use crate::backoff::Backoff;

/// Pieces in which an object is read and sent.
const PIECE: usize = 128 * 1024;

/// How often an object is sent that the hub refuses.
const TRIES: u32 = 3;

/// What became of a call with the bytes of an object.
enum Sent {
    Whole,
    BrokeOff,
}

/// Sends what the hub lacks of these objects.
pub(crate) async fn upload(attempt: &Attempt, objects: &[Object]) -> Result<(), AttemptError> {
    let mut backoff = Backoff::up_to(Duration::from_secs(5));
    let mut tries = 1;
    loop {
        match send_missing(attempt, objects).await {
            Ok(Sent::Whole) => return Ok(()),
            Ok(Sent::BrokeOff) => tokio::time::sleep(backoff.next_delay()).await,
            Err(AttemptError::Refused(reason)) if tries < TRIES => {
                tracing::warn!(reason, "object was refused, sending it again");
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn send_missing(attempt: &Attempt, objects: &[Object]) -> Result<Sent, AttemptError> {
    for missing in offer(attempt, objects).await? {
        let object = objects.iter().find(|it| digest(it) == missing.digest);
        let object = object.ok_or_else(|| {
            AttemptError::Refused(format!("hub wants {}, which is not here", missing.digest))
        })?;
        let request = put(attempt, object, missing)?;
        if attempt.call_once(request).await?.is_none() {
            return Ok(Sent::BrokeOff);
        }
    }
    Ok(Sent::Whole)
}

/// Tells which objects the image is made of; the answer has those to send.
async fn offer(attempt: &Attempt, objects: &[Object]) -> Result<Vec<MissingObject>, AttemptError> {
    let objects = objects.iter().map(|object| OfferedObject {
        digest: digest(object),
        size: object.size,
    });
    let offer = Offer {
        objects: objects.collect(),
    };
    let answer = attempt
        .call(|| Ok(attempt.request(Method::POST, "objects").json(&offer)))
        .await?;
    let missing: Result<Missing, _> = answer.json().await;
    let missing = missing.map_err(|error| {
        AttemptError::Refused(format!("hub does not say which objects it has: {error}"))
    })?;
    Ok(missing.objects)
}

fn put(
    attempt: &Attempt,
    object: &Object,
    missing: MissingObject,
) -> Result<RequestBuilder, AttemptError> {
    let offset = missing.received.min(object.size);
    Ok(attempt
        .request(Method::PUT, &format!("objects/{}", missing.digest))
        .query(&[("offset", offset)])
        .header(header::CONTENT_LENGTH, object.size - offset)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .body(bytes_from(object, offset)?))
}

fn bytes_from(object: &Object, offset: u64) -> std::io::Result<reqwest::Body> {
    match &object.bytes {
        ObjectBytes::File(path) => {
            let mut file = std::fs::File::open(path)?;
            file.seek(SeekFrom::Start(offset))?;
            let file = tokio::fs::File::from_std(file);
            Ok(reqwest::Body::wrap_stream(ReaderStream::with_capacity(
                file, PIECE,
            )))
        }
        ObjectBytes::Memory(bytes) => {
            let offset = usize::try_from(offset).map_or(bytes.len(), |it| it.min(bytes.len()));
            Ok(bytes[offset..].to_vec().into())
        }
    }
}

fn digest(object: &Object) -> Digest {
    Digest::from_bytes(object.sha256)
}
