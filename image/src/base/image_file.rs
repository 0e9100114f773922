//! The root file system of an image file: SIF, and the bare file systems of Singularity 2.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::error::Error;
use crate::ext3;
use crate::metadata::OciConfig;
use crate::sif::{self, FileSystem, Partition, Sif, SifError};
use crate::squashfs::{self, Bounds, Part};

const SQUASHFS_MAGIC: &[u8; 4] = b"hsqs";
/// Singularity 2 looked no further for the end of the line that makes its images programs.
const LONGEST_LINE: usize = 64;
const HEAD: usize = 32 << 10;

/// Gives the root file system of an image, a file and its name, to `take`; tells the configuration
/// of the Docker image that it was made from, if any.
pub(crate) fn read_tree(
    (file, name): (&File, &str),
    bounds: Bounds<'_>,
    take: impl FnOnce(&mut (dyn Read + Send)) -> Result<(), Error>,
) -> Result<Option<OciConfig>, Error> {
    let (tree, config) = find_tree(file, name)?;
    tree.read(file, bounds, take)?;
    Ok(config)
}

/// Another text for every state of a file: what was made of it is never used for another.
pub(super) fn state(file: &File) -> io::Result<Vec<u8>> {
    let found = file.metadata()?;
    let numbers = [
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime().cast_unsigned(),
        found.mtime_nsec().cast_unsigned(),
        found.ctime().cast_unsigned(),
        found.ctime_nsec().cast_unsigned(),
    ];
    let mut state: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
    // The head of a SIF holds its id and its table.
    let mut head = vec![0; HEAD];
    let count = file.read_at(&mut head, 0)?;
    state.extend_from_slice(&head[..count]);
    Ok(state)
}

/// Where an image's root file system is.
pub(crate) struct Tree {
    pub(crate) kind: Kind,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

impl Tree {
    /// Gives it to `take`.
    pub(super) fn read(
        &self,
        file: &File,
        bounds: Bounds<'_>,
        take: impl FnOnce(&mut (dyn Read + Send)) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let part = self.part(file);
        match self.kind {
            Kind::Squashfs => squashfs::read_as_tar(part, bounds, take),
            Kind::Ext3 => ext3::read_as_tar(part, bounds.cancel, take),
        }
    }

    /// Its bytes.
    pub(super) fn part<'f>(&self, file: &'f File) -> Part<'f> {
        Part {
            file,
            offset: self.offset,
            length: self.size,
        }
    }
}

/// What it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Squashfs,
    Ext3,
}

/// Finds the root file system of an image, a file and its name.
pub(crate) fn find_tree(file: &File, name: &str) -> Result<(Tree, Option<OciConfig>), Error> {
    let copy = file.try_clone().map_err(Error::io("opening", name))?;
    match sif::from_file(copy) {
        Ok(sif) => Ok((partition(&sif, name)?, config(&sif, name)?)),
        Err(SifError::NotSif) => Ok((bare(file, name)?, None)),
        Err(error) => Err(not_a_base(name, &error.to_string())),
    }
}

fn partition(sif: &Sif, name: &str) -> Result<Tree, Error> {
    let Some(partition) = sif.primary_partition() else {
        return Err(not_a_base(name, "it has no root file system"));
    };
    let Partition { offset, size, .. } = partition;
    let kind = match partition.file_system {
        FileSystem::Squashfs => Kind::Squashfs,
        FileSystem::Ext3 => Kind::Ext3,
        FileSystem::EncryptedSquashfs => {
            return Err(not_a_base(name, "its root file system is encrypted"));
        }
        FileSystem::Other(number) => {
            let why = format!("its root file system is of the unknown kind {number}");
            return Err(not_a_base(name, &why));
        }
    };
    Ok(Tree { kind, offset, size })
}

fn config(sif: &Sif, name: &str) -> Result<Option<OciConfig>, Error> {
    let json = sif
        .json("oci-config.json")
        .map_err(|error| not_a_base(name, &error.to_string()))?;
    Ok(json.and_then(|json| serde_json::from_slice(&json).ok()))
}

/// A file system that is the file, or all of it behind its first line.
fn bare(file: &File, name: &str) -> Result<Tree, Error> {
    let length = file.metadata().map_err(Error::io("reading", name))?.len();
    for offset in [0, length_of_line(file)] {
        let mut magic = [0; 4];
        let is_squashfs =
            file.read_exact_at(&mut magic, offset).is_ok() && &magic == SQUASHFS_MAGIC;
        let kind = if is_squashfs {
            Kind::Squashfs
        } else if ext3::is_at(file, offset) {
            Kind::Ext3
        } else {
            continue;
        };
        let size = length.saturating_sub(offset);
        return Ok(Tree { kind, offset, size });
    }
    Err(not_a_base(
        name,
        "it is neither a SIF image nor a squashfs or an ext3",
    ))
}

/// `#!/usr/bin/env run-singularity` and its end; zero if there is no such line.
fn length_of_line(file: &File) -> u64 {
    let mut start = [0; LONGEST_LINE];
    let line = file.read_exact_at(&mut start, 0);
    let end = start.iter().position(|byte| *byte == b'\n');
    match (line, end) {
        (Ok(()), Some(end)) if start.starts_with(b"#!") => end as u64 + 1,
        _ => 0,
    }
}

fn not_a_base(name: &str, why: &str) -> Error {
    Error::Base {
        message: format!("{name} is not an image that can be used: {why}"),
        help: Some("build it with cooperage, apptainer or singularity".to_owned()),
    }
}
