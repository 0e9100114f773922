//! Who signed a SIF.
//!
//! A signature covers a group of objects: a digest of the file's header, one of each descriptor and
//! one of each object, as JSON in a clear-signed message. Singularity before 3.6 signed a digest of
//! the objects' bytes alone, which leaves open what they are: that does not count, as with Apptainer.
//!
//! <https://github.com/apptainer/sif/tree/main/pkg/integrity>

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use chrono::{DateTime, Utc};
use pgp::composed::CleartextSignedMessage;
use serde::Deserialize;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::key::{Lapse, PublicKey, Signed};
use super::keyring::Fingerprint;
use super::{Object, ObjectKind, Sif};

/// Marks a number as that of a group: what is in no group has the mark alone.
const GROUP: u32 = 0xf000_0000;
const OLD: &str = "SIFHASH:";

/// Why an image does not count as signed by somebody.
#[derive(Debug, thiserror::Error)]
pub enum Unverified {
    /// There is no signature of that key.
    #[error("it has no signature of the key {0}")]
    NoSignature(Fingerprint),
    /// There is one that Singularity made before 3.6.
    #[error(
        "its signature of the key {0} is one of Singularity before 3.6, which does not cover all \
         of an image and counts no more"
    )]
    Old(Fingerprint),
    /// The key counts no more.
    #[error("the key {0} {1}")]
    Key(Fingerprint, Lapse),
    /// The signature counts no more.
    #[error("its signature of the key {0} does not count: what signed {1}")]
    Signature(Fingerprint, Lapse),
    /// There is one, and it is wrong.
    #[error("its signature of the key {0} is not valid: the image was changed, or the signature")]
    Invalid(Fingerprint),
    /// There are signatures, but not of everything.
    #[error("the key {0} signed only a part of it")]
    Incomplete(Fingerprint),
    /// Reading failed.
    #[error("reading the image")]
    Read(#[source] io::Error),
}

/// Signatures of an image that name a key. Whether it made them is to be verified.
#[derive(Debug)]
pub struct Signatures<'s> {
    sif: &'s Sif,
    signer: Fingerprint,
    found: Vec<(&'s Object, CleartextSignedMessage)>,
}

impl<'s> Signatures<'s> {
    /// Finds those that name this key.
    pub fn of(sif: &'s Sif, signer: Fingerprint) -> Result<Self, Unverified> {
        let is_signers = |object: &&Object| {
            let entity = object.descriptor.get(205..).unwrap_or_default();
            object.kind == ObjectKind::Signature && Fingerprint::from_entity(entity) == Some(signer)
        };
        let (mut found, mut has_old) = (Vec::new(), false);
        for object in sif.objects.iter().filter(is_signers) {
            let message = message(sif, object).ok_or(Unverified::Invalid(signer))?;
            // The old ones may be of one object. It says nothing of what surrounds it.
            if is_old(&message) || !is_group(linked(object)) {
                has_old = true;
            } else {
                found.push((object, message));
            }
        }
        match (found.is_empty(), has_old) {
            (true, true) => Err(Unverified::Old(signer)),
            (true, false) => Err(Unverified::NoSignature(signer)),
            (false, _) => Ok(Self { sif, signer, found }),
        }
    }

    /// Makes sure that the key made all of them, and that they cover every object of the image.
    pub fn verify(&self, key: &PublicKey, now: DateTime<Utc>) -> Result<(), Unverified> {
        let Self { sif, signer, .. } = *self;
        if !key.has(&signer) {
            return Err(Unverified::Invalid(signer));
        }
        if let Some(lapse) = key.lapse(now) {
            return Err(Unverified::Key(signer, lapse));
        }
        let mut covered = BTreeSet::new();
        for (signature, message) in &self.found {
            let objects = members(sif, linked(signature));
            let is_valid = match key.signed(message, now) {
                Signed::Text(text) => says_so(sif, &objects, &text).map_err(Unverified::Read)?,
                Signed::Lapsed(lapse) => return Err(Unverified::Signature(signer, lapse)),
                Signed::Not => false,
            };
            if !is_valid {
                return Err(Unverified::Invalid(signer));
            }
            covered.insert(linked(signature));
        }
        // Not by the numbers of objects: there may be two of a number.
        if contents(sif).all(|object| covered.contains(&group(object))) {
            return Ok(());
        }
        Err(Unverified::Incomplete(signer))
    }
}

fn message(sif: &Sif, signature: &Object) -> Option<CleartextSignedMessage> {
    let bytes = sif.read(signature).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    let (message, _) = CleartextSignedMessage::from_string(text).ok()?;
    Some(message)
}

fn is_old(message: &CleartextSignedMessage) -> bool {
    message.signed_text().starts_with(OLD)
}

fn contents(sif: &Sif) -> impl Iterator<Item = &Object> {
    let objects = sif.objects.iter();
    objects.filter(|object| object.kind != ObjectKind::Signature)
}

/// The objects of a group, sorted by their ids.
fn members(sif: &Sif, number: u32) -> Vec<&Object> {
    let objects = contents(sif).filter(|object| group(object) == number);
    let mut objects: Vec<&Object> = objects.collect();
    objects.sort_by_key(|object| object.id);
    objects
}

/// The group of an object.
fn group(object: &Object) -> u32 {
    number(object, 9)
}

/// What an object is about: a group, or one object.
fn linked(object: &Object) -> u32 {
    number(object, 13)
}

fn is_group(number: u32) -> bool {
    number & GROUP == GROUP
}

fn number(object: &Object, offset: usize) -> u32 {
    let field = object.descriptor.get(offset..offset + 4);
    let field = field.and_then(|field| field.try_into().ok());
    field.map_or(0, u32::from_le_bytes)
}

/// Whether a signed text describes these objects and no others.
fn says_so(sif: &Sif, objects: &[&Object], text: &str) -> io::Result<bool> {
    let Ok(message) = serde_json::from_str::<Message>(text) else {
        return Ok(false);
    };
    let first = objects.first().map_or(0, |object| object.id);
    let header = [&sif.header[..45], &sif.header[48..64]].concat();
    let mut is_so = message.version == 1
        && message.objects.len() == objects.len()
        && is_digest(&message.header.digest, &mut header.as_slice())?;
    for (object, said) in objects.iter().zip(&message.objects) {
        let relative = object.id - first;
        is_so = is_so
            && said.relative_id == relative
            && is_digest(
                &said.descriptor_digest,
                &mut descriptor(object, relative).as_slice(),
            )?
            && is_digest(&said.object_digest, &mut content(sif, object))?;
    }
    Ok(is_so)
}

#[derive(Deserialize)]
struct Message {
    version: u32,
    header: SignedHeader,
    objects: Vec<SignedObject>,
}

#[derive(Deserialize)]
struct SignedHeader {
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedObject {
    relative_id: u32,
    descriptor_digest: String,
    object_digest: String,
}

/// The parts of a descriptor that do not change when an image is copied together anew.
fn descriptor(object: &Object, relative_id: u32) -> Vec<u8> {
    let bytes = &object.descriptor;
    let part = |start: usize, end: usize| bytes.get(start..end).unwrap_or_default();
    [
        part(0, 5),
        &relative_id.to_le_bytes(),
        part(13, 17),
        part(25, 33),
        part(41, 49),
        part(57, 585),
    ]
    .concat()
}

fn is_digest(digest: &str, content: &mut dyn Read) -> io::Result<bool> {
    let Some((algorithm, expected)) = digest.split_once(':') else {
        return Ok(false);
    };
    let found = match algorithm {
        "sha224" => hash::<Sha224>(content)?,
        "sha256" => hash::<Sha256>(content)?,
        "sha384" => hash::<Sha384>(content)?,
        "sha512" => hash::<Sha512>(content)?,
        _ => return Ok(false),
    };
    Ok(found.eq_ignore_ascii_case(expected))
}

fn hash<D: Digest>(content: &mut dyn Read) -> io::Result<String> {
    let mut hash = D::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn content<'s>(sif: &'s Sif, object: &Object) -> Content<'s> {
    Content {
        sif,
        offset: object.offset,
        rest: object.size,
    }
}

/// Reads an object, wherever others are reading.
struct Content<'s> {
    sif: &'s Sif,
    offset: u64,
    rest: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer
            .len()
            .min(usize::try_from(self.rest).unwrap_or(usize::MAX));
        let count = self.sif.file.read_at(&mut buffer[..most], self.offset)?;
        self.offset += count as u64;
        self.rest -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
