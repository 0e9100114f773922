//! Who signed a SIF.
//!
//! A signature covers a group of objects: a digest of the file's header, one of each descriptor and
//! one of each object, as JSON in a clear-signed message. Singularity before 3.6 signed a digest of
//! the objects' bytes alone.
//!
//! <https://github.com/apptainer/sif/tree/main/pkg/integrity>

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use pgp::composed::{CleartextSignedMessage, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use serde::Deserialize;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::keyring::{Fingerprint, Keyring};
use super::{Object, ObjectKind, Sif};

const HASHES: [HashAlgorithm; 4] = [
    HashAlgorithm::Sha224,
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha512,
];
const GROUP_MARK: u32 = 0xf000_0000;
const LEGACY: &str = "SIFHASH:";

/// Why an image does not count as signed by somebody.
#[derive(Debug, thiserror::Error)]
pub enum Unverified {
    /// There is no key to verify with.
    #[error("the key {0} is in none of the keyrings")]
    NoKey(Fingerprint),
    /// There is no signature of that key.
    #[error("it has no signature of the key {0}")]
    NoSignature(Fingerprint),
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

/// Makes sure that each of the keys signed every object of the image.
pub fn require_signatures(
    sif: &Sif,
    signers: &[Fingerprint],
    keyring: &Keyring,
) -> Result<(), Unverified> {
    for signer in signers {
        let key = keyring.find(signer).ok_or(Unverified::NoKey(*signer))?;
        let covered = covered(sif, *signer, key)?;
        let mut objects = contents(sif);
        if !objects.all(|object| covered.contains(&object.id)) {
            return Err(Unverified::Incomplete(*signer));
        }
    }
    Ok(())
}

fn contents(sif: &Sif) -> impl Iterator<Item = &Object> {
    let objects = sif.objects.iter();
    objects.filter(|object| object.kind != ObjectKind::Signature)
}

/// The objects that valid signatures of a key cover.
fn covered(
    sif: &Sif,
    signer: Fingerprint,
    key: &SignedPublicKey,
) -> Result<BTreeSet<u32>, Unverified> {
    let is_signers = |object: &&Object| {
        let entity = object.descriptor.get(205..).unwrap_or_default();
        object.kind == ObjectKind::Signature && Fingerprint::from_entity(entity) == Some(signer)
    };
    let mut signatures = sif.objects.iter().filter(is_signers).peekable();
    if signatures.peek().is_none() {
        return Err(Unverified::NoSignature(signer));
    }
    let mut covered = BTreeSet::new();
    for signature in signatures {
        let message = sif.read(signature).ok();
        let text = message.and_then(|message| signed_text(&message, key));
        let linked = objects_of(sif, signature);
        let is_valid = match text {
            Some(text) if !linked.is_empty() => says_so(sif, &linked, &text),
            _ => Ok(false),
        };
        if !is_valid.map_err(Unverified::Read)? {
            return Err(Unverified::Invalid(signer));
        }
        covered.extend(linked.iter().map(|object| object.id));
    }
    Ok(covered)
}

/// The text of a clear-signed message, if the key signed it.
fn signed_text(message: &[u8], key: &SignedPublicKey) -> Option<String> {
    let (message, _) =
        CleartextSignedMessage::from_string(std::str::from_utf8(message).ok()?).ok()?;
    let by_primary = message.verify(&key.primary_key).ok();
    let mut subkeys = key.public_subkeys.iter();
    let signature =
        by_primary.or_else(|| subkeys.find_map(|subkey| message.verify(&subkey.key).ok()))?;
    let has_good_hash = signature
        .hash_alg()
        .is_some_and(|hash| HASHES.contains(&hash));
    has_good_hash.then(|| message.signed_text())
}

/// What a signature is linked to: the objects of a group, or one object; sorted by their ids.
fn objects_of<'s>(sif: &'s Sif, signature: &Object) -> Vec<&'s Object> {
    let link = number(signature, 13);
    let is_linked = |object: &&Object| {
        if link & GROUP_MARK == GROUP_MARK {
            number(object, 9) == link
        } else {
            object.id == link
        }
    };
    let mut objects: Vec<&Object> = contents(sif).filter(is_linked).collect();
    objects.sort_by_key(|object| object.id);
    objects
}

fn number(object: &Object, offset: usize) -> u32 {
    let field = object.descriptor.get(offset..offset + 4);
    let field = field.and_then(|field| field.try_into().ok());
    field.map_or(0, u32::from_le_bytes)
}

/// Whether a signed text describes these objects and no others.
fn says_so(sif: &Sif, objects: &[&Object], text: &str) -> io::Result<bool> {
    if let Some(digest) = text.trim().strip_prefix(LEGACY) {
        return has_legacy_digest(sif, objects, digest.trim());
    }
    // A signature of a single object says nothing of what surrounds it.
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

fn has_legacy_digest(sif: &Sif, objects: &[&Object], digest: &str) -> io::Result<bool> {
    let nothing: Box<dyn Read> = Box::new(io::empty());
    let mut all = objects.iter().fold(nothing, |before, object| {
        Box::new(before.chain(content(sif, object)))
    });
    let algorithm = match digest.len() {
        56 => "sha224",
        64 => "sha256",
        96 => "sha384",
        128 => "sha512",
        _ => return Ok(false),
    };
    is_digest(&format!("{algorithm}:{digest}"), &mut all)
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
