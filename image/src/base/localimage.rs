//! `Bootstrap: localimage`: an image file of the context is the base.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#localimage-bootstrap-agent>

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::{Base, Bootstrapper};
use crate::error::Error;
use crate::files;
use crate::metadata::{BaseKind, OciConfig};
use crate::sandbox::Workspace;
use crate::sif::{self, FileSystem, Partition, Sif, SifError};
use crate::squashfs::{self, Bounds, Part};

const SQUASHFS_MAGIC: &[u8; 4] = b"hsqs";

/// Unpacks the image's root file system.
pub(super) fn bootstrap(bootstrapper: &mut Bootstrapper<'_>, from: &str) -> Result<Base, Error> {
    let file = files::open(&bootstrapper.request.context, from)?;
    bootstrapper.say(&format!("unpacking {from}"));
    let bounds = Bounds {
        limits: bootstrapper.request.limits,
        cancel: bootstrapper.cancel,
    };
    let workspace = bootstrapper.workspace;
    let config = read_tree(workspace, (&file, from), bounds, |archive| {
        bootstrapper.apply(archive, None)
    })?;
    Ok(Base {
        kind: BaseKind::LocalImage,
        config: None,
        include_cmd: false,
        reference: Some((format!("localimage:{from}"), None)),
        inherited: config,
    })
}

/// Gives the root file system of an image, a file and its name, to `take`; tells the configuration
/// of the Docker image that it was made from, if any.
pub(crate) fn read_tree(
    workspace: &Workspace,
    (file, from): (&File, &str),
    bounds: Bounds<'_>,
    take: impl FnOnce(&mut (dyn Read + Send)) -> Result<(), Error>,
) -> Result<Option<OciConfig>, Error> {
    let (tree, config) = find_tree(file, from)?;
    let image = Part {
        file,
        offset: tree.offset,
        length: tree.size,
    };
    squashfs::read_as_tar(workspace, image, bounds, take)?;
    Ok(config)
}

struct Tree {
    offset: u64,
    size: u64,
}

fn find_tree(file: &File, from: &str) -> Result<(Tree, Option<OciConfig>), Error> {
    let copy = file.try_clone().map_err(Error::io("opening", from))?;
    match sif::from_file(copy) {
        Ok(sif) => Ok((partition(&sif, from)?, config(&sif, from)?)),
        Err(SifError::NotSif) => Ok((bare_squashfs(file, from)?, None)),
        Err(error) => Err(not_a_base(from, &error.to_string())),
    }
}

fn partition(sif: &Sif, from: &str) -> Result<Tree, Error> {
    match sif.primary_partition() {
        Some(Partition {
            file_system: FileSystem::Squashfs,
            offset,
            size,
            ..
        }) => Ok(Tree { offset, size }),
        Some(_) => Err(not_a_base(from, "its root file system is not a squashfs")),
        None => Err(not_a_base(from, "it has no root file system")),
    }
}

fn config(sif: &Sif, from: &str) -> Result<Option<OciConfig>, Error> {
    let json = sif
        .json("oci-config.json")
        .map_err(|error| not_a_base(from, &error.to_string()))?;
    Ok(json.and_then(|json| serde_json::from_slice(&json).ok()))
}

fn bare_squashfs(file: &File, from: &str) -> Result<Tree, Error> {
    let mut magic = [0; 4];
    let is_squashfs = file.read_exact_at(&mut magic, 0).is_ok() && &magic == SQUASHFS_MAGIC;
    if !is_squashfs {
        return Err(not_a_base(from, "it is neither a SIF image nor a squashfs"));
    }
    let size = file.metadata().map_err(Error::io("reading", from))?.len();
    Ok(Tree { offset: 0, size })
}

fn not_a_base(from: &str, why: &str) -> Error {
    Error::Base {
        message: format!("{from} is no image that can be built on: {why}"),
        help: Some("build it with cooperage, apptainer or singularity 3 or later".to_owned()),
    }
}
