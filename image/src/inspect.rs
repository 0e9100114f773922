//! What an image tells of itself, whatever kind of image it is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base;
use crate::engine::{Cancel, Engine, Limits};
use crate::error::Error;
use crate::metadata::{self, Labels};
use crate::sandbox::{Namespace, Workspace};
use crate::sif;
use crate::squashfs::Bounds;

const OBJECT: &str = "inspect-metadata.json";
/// A larger file is no text that somebody wrote.
const LARGEST: u64 = 16 << 20;

/// What an image tells of itself, in the order in which `inspect` shows it as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// Its apps by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub apps: BTreeMap<String, AppAttributes>,
    /// Environment scripts by path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Labels by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// The runscript.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runscript: String,
    /// The test.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub test: String,
    /// The help text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub helpfile: String,
    /// The definition.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deffile: String,
    /// The startscript.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub startscript: String,
}

/// What an app tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppAttributes {
    /// Environment scripts by path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Labels by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// The runscript.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runscript: String,
    /// The startscript.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub startscript: String,
    /// The test.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub test: String,
    /// The help text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub helpfile: String,
}

/// The object of a SIF, and what `inspect` prints as JSON.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Document {
    /// Always one image.
    pub data: Data,
    /// What it is: `container`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The image in a [`Document`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Data {
    /// What it tells of itself.
    pub attributes: Attributes,
}

impl Engine {
    /// Reads what an image tells of itself: a SIF, a squashfs, an ext3 or a folder. A SIF of today
    /// has it at hand; of others the metadata is read.
    pub fn inspect(&self, image: &Path, cancel: &Cancel) -> Result<Attributes, Error> {
        let file = File::open(image).map_err(Error::io("opening", image))?;
        let is_folder = file.metadata().is_ok_and(|found| found.is_dir());
        if is_folder {
            return of_tree(image);
        }
        if let Some(attributes) = at_hand(&file, image)? {
            return Ok(attributes);
        }
        let namespace = Namespace::new(self.settings.identity)?;
        let workspace = Workspace::create(&self.settings.scratch, &namespace)?;
        let tree = tempfile::tempdir_in(workspace.path());
        let tree = tree.map_err(Error::io("creating a folder in", workspace.path()))?;
        let bounds = Bounds {
            limits: Limits::default(),
            cancel,
        };
        let name = image.display().to_string();
        base::read_tree((&file, &name), bounds, |archive| {
            take_metadata(archive, tree.path())
        })?;
        of_tree(tree.path())
    }
}

fn at_hand(file: &File, image: &Path) -> Result<Option<Attributes>, Error> {
    let copy = file.try_clone().map_err(Error::io("opening", image))?;
    let Ok(sif) = sif::from_file(copy) else {
        return Ok(None);
    };
    let damaged = |why: &dyn std::fmt::Display| Error::Base {
        message: format!("{}: {OBJECT}: {why}", image.display()),
        help: None,
    };
    let object = sif.json(OBJECT).map_err(|error| damaged(&error))?;
    let read = |object: Vec<u8>| serde_json::from_slice::<Document>(&object);
    let document = object.map(read).transpose();
    let document = document.map_err(|error| damaged(&error))?;
    Ok(document.map(|document| document.data.attributes))
}

fn of_tree(root: &Path) -> Result<Attributes, Error> {
    let facts = metadata::facts(root)?;
    let document: Document = serde_json::from_str(&facts.inspect_json)
        .map_err(|error| Error::Internal(error.to_string()))?;
    Ok(document.data.attributes)
}

/// Writes the files of an image's metadata, and nothing else of it, below `root`.
fn take_metadata(archive: &mut dyn Read, root: &Path) -> Result<(), Error> {
    let reading = || Error::io("reading", "an image");
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(reading())? {
        let mut entry = entry.map_err(reading())?;
        let path = clean(&entry.path().map_err(reading())?);
        if !entry.header().entry_type().is_file() || entry.size() > LARGEST || !is_metadata(&path) {
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(reading())?;
        let place = root.join(&path);
        let folder = place.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(Error::io("creating", folder))?;
        fs::write(&place, content).map_err(Error::io("writing", &place))?;
    }
    Ok(())
}

/// The names in a path that lead down.
fn clean(path: &Path) -> PathBuf {
    let names = path.components();
    names
        .filter(|name| matches!(name, Component::Normal(_)))
        .collect()
}

fn is_metadata(path: &Path) -> bool {
    let names: Vec<_> = path.iter().collect();
    match names.as_slice() {
        [first, ..] if *first == ".singularity.d" => true,
        [scif, apps, _, inner, ..] => *scif == "scif" && *apps == "apps" && *inner == "scif",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_taken_and_what_leads_elsewhere_stays_below() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        for name in [
            "./.singularity.d/runscript",
            "scif/apps/a/scif/test",
            "bin/sh",
            "scif/x",
        ] {
            let mut header = tar::Header::new_ustar();
            header.set_size(2);
            archive.append_data(&mut header, name, &b"x\n"[..]).unwrap();
        }
        let archive = archive.into_inner().unwrap();

        take_metadata(&mut archive.as_slice(), folder.path()).unwrap();

        let attributes = of_tree(folder.path()).unwrap();
        assert_eq!(attributes.runscript, "x");
        assert_eq!(attributes.apps["a"].test, "x");
        assert!(!folder.path().join("bin").exists());
        assert_eq!(
            clean(Path::new("/../.singularity.d/x")),
            Path::new(".singularity.d/x")
        );
    }
}
