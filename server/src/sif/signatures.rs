//! What does a signature in a SIF say, and is the image what it says?
//!
//! A signature covers a group of objects: it is a clear-signed message with a digest of the file's
//! header, one of each descriptor and one of each object.
//! <https://github.com/apptainer/sif/blob/main/pkg/integrity/metadata.go>

use std::io;

use cooperage_protocol::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{DESCRIPTOR, Kind, NotSif, Object, Sif, Source, short};
use crate::openpgp;

/// Marks a number as that of a group: what is in no group has the mark alone.
const GROUP: u32 = 0xf000_0000;

/// The most bytes of a signature: it lists some objects.
const LARGEST: u64 = 1 << 20;

/// The most signatures of an image that are looked at.
const MOST: usize = 16;

/// A signature of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SifSignature {
    /// The fingerprint of the key that it names, if it names one.
    pub(crate) fingerprint: Option<String>,
    /// What of the image is as the message says.
    pub(crate) covers: Covers,
    /// The clear-signed message.
    pub(crate) message: String,
}

/// What of an image a signature is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Covers {
    /// All of it.
    Everything,
    /// Some of its objects.
    Part,
    /// An image that is not this one.
    SomethingElse,
    /// It is not told in a form that the hub knows.
    Unknown,
}

impl Covers {
    /// As it is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Part => "a part",
            Self::SomethingElse => "something else",
            Self::Unknown => "unknown",
        }
    }

    /// Reads what [`Self::as_str`] gave.
    pub(crate) fn parse(text: &str) -> Self {
        let all = [Self::Everything, Self::Part, Self::SomethingElse];
        all.into_iter()
            .find(|covers| covers.as_str() == text)
            .unwrap_or(Self::Unknown)
    }
}

/// What is signed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Statement {
    version: u32,
    header: Header,
    objects: Vec<Signed>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    digest: Digest,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    relative_id: u32,
    descriptor_digest: Digest,
    object_digest: Digest,
}

/// The signatures of an image. Who made them is not checked: that needs their keys.
pub(crate) fn signatures(source: &Source<'_>, sif: &Sif) -> Result<Vec<SifSignature>, NotSif> {
    let found = sif.objects.iter();
    let found = found.filter(|object| object.kind == Kind::Signature);
    found
        .take(MOST)
        .map(|object| signature(source, sif, object))
        .collect()
}

fn signature(source: &Source<'_>, sif: &Sif, object: &Object) -> Result<SifSignature, NotSif> {
    let entity = object.descriptor.get(205..225).unwrap_or_default();
    let is_named = entity.iter().any(|byte| *byte != 0);
    let end = object.range.end.min(object.range.start + LARGEST);
    let message = source.read(object.range.start..end)?;
    let message = String::from_utf8_lossy(&message).replace('\0', "");
    Ok(SifSignature {
        fingerprint: is_named.then(|| hex::encode_upper(entity)),
        covers: covers(source, sif, object, &message)?,
        message,
    })
}

fn covers(
    source: &Source<'_>,
    sif: &Sif,
    signature: &Object,
    message: &str,
) -> Result<Covers, NotSif> {
    let text = openpgp::signed_text(message);
    let said = text.and_then(|text| serde_json::from_str::<Statement>(&text).ok());
    let group = short(&signature.descriptor, 13);
    let (Some(said), true) = (said, group & GROUP == GROUP) else {
        return Ok(Covers::Unknown);
    };
    let members = sif.contents().filter(|object| object.group() == group);
    let members: Vec<_> = members.collect();
    if said.objects.len() != members.len() || said != statement(source, sif, &members)? {
        return Ok(Covers::SomethingElse);
    }
    Ok(if members.len() == sif.contents().count() {
        Covers::Everything
    } else {
        Covers::Part
    })
}

/// What a signature of these objects says.
pub(super) fn statement(
    source: &Source<'_>,
    sif: &Sif,
    objects: &[&Object],
) -> io::Result<Statement> {
    let first = objects.iter().map(|object| object.id()).min();
    let first = first.unwrap_or_default();
    let mut signed = Vec::new();
    for object in objects {
        let relative_id = object.id() - first;
        signed.push(Signed {
            relative_id,
            descriptor_digest: Digest::of(&what_stays(&object.descriptor, relative_id)),
            object_digest: digest_of(source, object)?,
        });
    }
    signed.sort_by_key(|signed| signed.relative_id);
    Ok(Statement {
        version: 1,
        header: Header {
            digest: Digest::of(&[&sif.header[..45], &sif.header[48..64]].concat()),
        },
        objects: signed,
    })
}

/// The fields of a descriptor that stay when an image is copied together anew: what the object is,
/// its place among those of its group, its link, its size, when it was made, and all that follows
/// the time of its last change.
fn what_stays(descriptor: &[u8], relative_id: u32) -> Vec<u8> {
    let mut fields = Vec::with_capacity(DESCRIPTOR);
    for range in [0..5, 13..17, 25..33, 41..49, 57..DESCRIPTOR] {
        if range.start == 13 {
            fields.extend(relative_id.to_le_bytes());
        }
        fields.extend_from_slice(descriptor.get(range).unwrap_or_default());
    }
    fields
}

fn digest_of(source: &Source<'_>, object: &Object) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    if !object.range.is_empty() {
        let image = source
            .store
            .open_image(source.layout, object.range.clone())?;
        for piece in image.pieces() {
            hash.update(&piece?);
        }
    }
    Ok(Digest::from_bytes(hash.finalize().into()))
}

impl Sif {
    /// All objects but signatures.
    pub(super) fn contents(&self) -> impl Iterator<Item = &Object> {
        let objects = self.objects.iter();
        objects.filter(|object| object.kind != Kind::Signature)
    }
}

impl Object {
    fn id(&self) -> u32 {
        short(&self.descriptor, 5)
    }

    /// Its group, with the mark of groups.
    pub(super) fn group(&self) -> u32 {
        short(&self.descriptor, 9)
    }
}
