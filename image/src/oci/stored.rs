//! Images outside of a registry: where their blobs lie, and how they are read and verified.

use std::io::{self, Read};

use sha2::Digest as _;

use super::archive::{Archive, Piece};
use super::digest::Digest;
use super::manifest::Descriptor;
use crate::engine::Context;
use crate::error::Error;
use crate::files;
use crate::metadata::OciConfig;

/// What a manifest or a configuration takes at most.
pub(super) const MOST_DOCUMENT: u64 = 8 << 20;

/// Where the files of an image lie.
#[derive(Debug)]
pub enum Store<'a> {
    /// In a folder of the context.
    Folder {
        /// Which files may be read.
        context: &'a Context,
        /// The folder.
        path: &'a str,
    },
    /// In a tar archive.
    Archive(&'a Archive),
}

/// An image whose layers can be read.
#[derive(Debug)]
pub struct StoredImage {
    /// Digest of the manifest, where the format has one.
    pub manifest_digest: Option<String>,
    /// How it is used.
    pub config: OciConfig,
    /// The layers, lowest first.
    pub layers: Vec<StoredLayer>,
}

/// A layer of such an image.
#[derive(Debug)]
pub struct StoredLayer {
    pub(super) content: Piece,
    /// Of the content as it is stored.
    pub(super) digest: Option<Digest>,
    /// Digest of the uncompressed tar, where the configuration tells.
    pub diff_id: Option<String>,
}

impl StoredLayer {
    /// Digest of the layer as it is stored, where it is known before it is read.
    pub fn digest(&self) -> Option<String> {
        self.digest.as_ref().map(ToString::to_string)
    }
}

/// The content of a layer, hashed while it is read.
#[derive(Debug)]
pub struct LayerReader {
    content: Piece,
    expected: Option<Digest>,
    hash: sha2::Sha256,
}

impl Store<'_> {
    /// A file by its name.
    pub(super) fn open(&self, name: &str) -> Result<Piece, Error> {
        match self {
            Self::Folder { context, path } => {
                let path = format!("{}/{name}", path.trim_end_matches('/'));
                let file = files::open(context, &path)?;
                Piece::whole(file).map_err(Error::io("reading", path))
            }
            Self::Archive(archive) => archive.find(name).ok_or_else(|| Error::Base {
                message: format!("archive has no file {name}"),
                help: Some("it may be cut off; save the image again".to_owned()),
            }),
        }
    }

    /// A document by its name.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        let content = self.open(name)?;
        if content.left() > MOST_DOCUMENT {
            return Err(lie(format!("{name} has more than 8 MiB")));
        }
        let mut bytes = Vec::new();
        let mut content = content;
        let read = content.read_to_end(&mut bytes);
        read.map_err(Error::io("reading", name))?;
        Ok(bytes)
    }

    /// A document that a descriptor names, verified.
    pub(super) fn document(&self, wanted: &Descriptor) -> Result<Vec<u8>, Error> {
        let bytes = match &wanted.data {
            Some(data) => data.clone(),
            None => self.read(&blob_name(&wanted.digest))?,
        };
        let found = Digest::of(&bytes);
        if found != wanted.digest {
            return Err(lie(format!("{} has the digest {found}", wanted.digest)));
        }
        Ok(bytes)
    }

    /// A layer that a descriptor names; its digest is verified while it is read.
    pub(super) fn layer(
        &self,
        wanted: &Descriptor,
        diff_id: Option<String>,
    ) -> Result<StoredLayer, Error> {
        let content = self.open(&blob_name(&wanted.digest))?;
        let size = content.left();
        if wanted.size.is_some_and(|announced| announced != size) {
            let digest = &wanted.digest;
            return Err(lie(format!(
                "{digest} has {size} bytes, not what its manifest says"
            )));
        }
        Ok(StoredLayer {
            content,
            digest: Some(wanted.digest.clone()),
            diff_id,
        })
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

pub(super) fn lie(message: String) -> Error {
    Error::Base {
        message,
        help: Some("the image is damaged; copy or save it again".to_owned()),
    }
}

impl StoredLayer {
    /// The content as it is stored; [`LayerReader::finish`] tells whether it was the right one.
    pub fn reader(&self) -> LayerReader {
        LayerReader {
            content: self.content.clone(),
            expected: self.digest.clone(),
            hash: sha2::Sha256::new(),
        }
    }
}

impl Read for LayerReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        if self.expected.is_some() {
            self.hash.update(&buffer[..count]);
        }
        Ok(count)
    }
}

impl LayerReader {
    /// Reads the rest, and compares the digest.
    pub fn finish(mut self) -> Result<(), Error> {
        io::copy(&mut self, &mut io::sink()).map_err(Error::io("reading", "layer"))?;
        let Some(expected) = self.expected else {
            return Ok(());
        };
        let found = Digest::finish(self.hash);
        if found == expected {
            Ok(())
        } else {
            Err(lie(format!("layer {expected} has the digest {found}")))
        }
    }
}
