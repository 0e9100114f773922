//! What differs around the files: the form of the image, its identity, and the objects of a SIF?

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest as _, Sha256};

use super::Told;
use super::difference::{Facts, Subject, Value, compare as compare_facts, shown};
use super::listing::Source;
use crate::base::{self, Kind};
use crate::engine::Cancel;
use crate::error::Error;
use crate::sif::{self, FileSystem, Object, ObjectKind, Sif, SifError};
use crate::squashfs::{self, Part};

/// Compares what is known of two images before their files are read.
pub(super) fn compare(sources: &[Source; 2], cancel: &Cancel, tell: Told<'_>) -> Result<(), Error> {
    let [a, b] = sources;
    let mut differ = |name: &str, of, a: Option<Facts>, b: Option<Facts>| {
        let difference = compare_facts((of, name), a, b);
        difference.map_or(Ok(()), &mut *tell)
    };
    let sifs = [open(a)?, open(b)?];
    let [a_form, b_form] = [form(a, sifs[0].as_ref())?, form(b, sifs[1].as_ref())?];
    differ("form", Subject::Image, Some(a_form), Some(b_form))?;
    // The objects of one that the other cannot have say no more than its form.
    let [Some(a), Some(b)] = sifs else {
        return Ok(());
    };
    differ(
        "identity",
        Subject::Image,
        Some(identity(&a)),
        Some(identity(&b)),
    )?;
    let [a_source, b_source] = sources;
    let (a, mut b) = (
        objects(a_source, &a, cancel)?,
        objects(b_source, &b, cancel)?,
    );
    for (name, facts) in a {
        let other = b.remove(&name);
        differ(&name, Subject::Object, Some(facts), other)?;
    }
    for (name, facts) in b {
        differ(&name, Subject::Object, None, Some(facts))?;
    }
    Ok(())
}

fn open(source: &Source) -> Result<Option<Sif>, Error> {
    if source.is_folder {
        return Ok(None);
    }
    let copy = source.file.try_clone();
    match sif::from_file(copy.map_err(Error::io("opening", &source.name))?) {
        Ok(sif) => Ok(Some(sif)),
        Err(SifError::NotSif) => Ok(None),
        Err(error) => Err(damaged(source, &error)),
    }
}

fn damaged(source: &Source, error: &SifError) -> Error {
    Error::Base {
        message: format!("{}: {error}", source.name),
        help: None,
    }
}

fn form(source: &Source, sif: Option<&Sif>) -> Result<Facts, Error> {
    if source.is_folder {
        return Ok(vec![text("container", "folder")]);
    }
    let (tree, _) = base::find_tree(&source.file, &source.name)?;
    let container = if sif.is_some() { "SIF" } else { "file system" };
    let mut facts = vec![text("container", container)];
    match tree.kind {
        Kind::Ext3 => facts.push(text("file system", "ext3")),
        Kind::Squashfs => {
            let form = squashfs::form(Part {
                file: &source.file,
                offset: tree.offset,
                length: tree.size,
            })?;
            facts.push(text("file system", "squashfs"));
            facts.push(text("compressor", form.compressor));
            let block_size = u64::from(form.block_size);
            facts.push(("block size".into(), block_size.into()));
        }
    }
    Ok(facts)
}

fn identity(sif: &Sif) -> Facts {
    vec![
        text("id", &sif.id.to_string()),
        ("created".into(), Value::Number(sif.created)),
    ]
}

/// The objects by kind and name; of several that have both in common, by their order.
fn objects(source: &Source, sif: &Sif, cancel: &Cancel) -> Result<BTreeMap<String, Facts>, Error> {
    let length = source.file.metadata().map(|found| found.len());
    let mut left = length.map_err(Error::io("reading", &source.name))?;
    let mut objects = BTreeMap::new();
    for object in &sif.objects {
        let name = name_of(object);
        let mut unique = name.clone();
        let mut count = 1;
        while objects.contains_key(&unique) {
            count += 1;
            unique = format!("{name} ({count})");
        }
        // Objects that lie over each other would be read again and again.
        let Some(rest) = left.checked_sub(object.size) else {
            return Err(damaged(source, &SifError::Damaged("its objects overlap")));
        };
        left = rest;
        objects.insert(unique, facts_of(source, object, cancel)?);
    }
    Ok(objects)
}

fn name_of(object: &Object) -> String {
    let kind: Cow<'_, str> = match object.kind {
        ObjectKind::Definition => "definition".into(),
        ObjectKind::Json => "JSON".into(),
        ObjectKind::Partition {
            is_primary: true, ..
        } => "root file system".into(),
        ObjectKind::Partition { .. } => "partition".into(),
        ObjectKind::Signature => "signature".into(),
        ObjectKind::Other(number) => format!("kind {number}").into(),
    };
    match shown(object.name.as_bytes()) {
        name if name.is_empty() => kind.into_owned(),
        // Writers name the root file system after a temporary file.
        _ if kind == "root file system" => kind.into_owned(),
        name => format!("{kind} {name}"),
    }
}

fn facts_of(source: &Source, object: &Object, cancel: &Cancel) -> Result<Facts, Error> {
    let mut facts = vec![
        ("place in the table".into(), u64::from(object.id).into()),
        ("size".into(), object.size.into()),
    ];
    if let ObjectKind::Partition {
        file_system,
        architecture,
        is_primary,
    } = object.kind
    {
        facts.push(text("architecture", architecture.unwrap_or("unknown")));
        facts.push(("file system".into(), file_system_name(file_system)));
        if is_primary {
            return Ok(facts);
        }
    }
    let hash = hash(source, object, cancel)?;
    facts.push(("contents".into(), Value::Text(hash)));
    Ok(facts)
}

fn file_system_name(file_system: FileSystem) -> Value {
    Value::Text(match file_system {
        FileSystem::Squashfs => "squashfs".to_owned(),
        FileSystem::Ext3 => "ext3".to_owned(),
        FileSystem::EncryptedSquashfs => "encrypted squashfs".to_owned(),
        FileSystem::Other(number) => format!("kind {number}"),
    })
}

fn hash(source: &Source, object: &Object, cancel: &Cancel) -> Result<String, Error> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; super::BUFFER];
    let mut place = object.offset;
    let end = object.offset.saturating_add(object.size);
    while place < end {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let most = usize::try_from(end - place).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let count = source.file.read_at(&mut buffer[..most], place);
        let count = count.map_err(Error::io("reading", &source.name))?;
        if count == 0 {
            let cut_off = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(Error::io("reading", &source.name)(cut_off));
        }
        hash.update(&buffer[..count]);
        place += count as u64;
    }
    Ok(hex::encode(hash.finalize()))
}

fn text(name: &'static str, value: &str) -> (Cow<'static, str>, Value) {
    (name.into(), value.into())
}
