//! What all images outside of a registry have in common: how they are named, opened and unpacked.

use std::fs::File;

use super::{Base, Bootstrapper};
use crate::engine::Context;
use crate::error::Error;
use crate::files::{self, Found};
use crate::lower::{Key, KeyOf};
use crate::metadata::BaseKind;
use crate::oci::{self, Archive, StoredImage, StoredLayer, Which};

/// A file of the context, and which of its images is meant.
pub(super) struct NamedFile {
    pub(super) path: String,
    pub(super) file: File,
    pub(super) which: Which,
}

/// Opens the archive that `FILE[:TAG|@DIGEST]` names.
pub(super) fn named_file(bootstrapper: &Bootstrapper<'_>, from: &str) -> Result<NamedFile, Error> {
    let context = &bootstrapper.request.context;
    let (path, which) = split(context, from)?;
    match files::find(context, &path)? {
        Found::File(file) => Ok(NamedFile { path, file, which }),
        Found::Folder(_) => Err(Error::Base {
            message: format!("{path} is a folder, not an archive"),
            help: Some("a folder in the OCI image layout is `Bootstrap: oci`".to_owned()),
        }),
    }
}

/// Tells the path from the name of the image. A path that exists as it stands has no such name,
/// whatever it looks like.
pub(super) fn split(context: &Context, from: &str) -> Result<(String, Which), Error> {
    if files::find(context, from).is_ok() {
        return Ok((from.to_owned(), Which::Only));
    }
    if let Some((path, digest)) = from.rsplit_once('@')
        && digest.starts_with("sha256:")
    {
        let digest = digest.parse().map_err(|message| Error::Base {
            message,
            help: None,
        })?;
        return Ok((path.to_owned(), Which::Digest(digest)));
    }
    Ok(match from.split_once(':') {
        Some((path, tag)) if !tag.is_empty() => (path.to_owned(), Which::Named(tag.to_owned())),
        _ => (from.trim_end_matches(':').to_owned(), Which::Only),
    })
}

/// Reads the table of an archive.
pub(super) fn archive(
    bootstrapper: &Bootstrapper<'_>,
    file: File,
    name: &str,
) -> Result<Archive, Error> {
    bootstrapper.say(&format!("reading {name}"));
    Archive::open(file, name, &surroundings(bootstrapper))
}

pub(super) fn surroundings<'a>(bootstrapper: &Bootstrapper<'a>) -> oci::Surroundings<'a> {
    oci::Surroundings {
        scratch: &bootstrapper.settings.scratch,
        most_bytes: bootstrapper.request.limits.disk,
        cancel: bootstrapper.cancel,
    }
}

/// What the layers make, if their digests are known before they are read.
fn key(bootstrapper: &Bootstrapper<'_>, layers: &[StoredLayer]) -> Option<Key> {
    let key = layers
        .iter()
        .try_fold(bootstrapper.key("layers"), |key, layer| {
            let digests = (layer.digest(), layer.diff_id.as_deref());
            let is_known = digests.0.is_some() || digests.1.is_some();
            is_known.then(|| {
                key.and(&digests.0.unwrap_or_default())
                    .and(digests.1.unwrap_or_default())
            })
        });
    key.map(KeyOf::end)
}

/// Puts the layers over each other.
pub(super) fn unpack(
    bootstrapper: &mut Bootstrapper<'_>,
    image: StoredImage,
    name: &str,
    include_cmd: bool,
) -> Result<Base, Error> {
    let count = image.layers.len();
    let key = key(bootstrapper, &image.layers);
    bootstrapper.keep(key, &mut |bootstrapper| {
        for (index, layer) in image.layers.iter().enumerate() {
            bootstrapper.say(&format!("unpacking layer {} of {count}", index + 1));
            let mut content = layer.reader();
            bootstrapper.apply(&mut content, layer.diff_id.clone())?;
            content.finish()?;
        }
        Ok(())
    })?;
    Ok(Base {
        kind: BaseKind::Fresh,
        config: Some(image.config),
        include_cmd,
        inherited: None,
        reference: Some((name.to_owned(), image.manifest_digest)),
    })
}
