//! `Bootstrap: localimage`: an image file of the context is the base.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#localimage-bootstrap-agent>

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::engine::Context;
use crate::error::Error;
use crate::files;
use crate::squashfs::{self, TreeArchive};

const SIF_MAGIC: &[u8] = b"SIF_MAGIC\0";
const SQUASHFS_MAGIC: &[u8] = b"hsqs";
const PARTITION: u32 = 0x4004;
const SQUASHFS: u32 = 1;
const PRIMARY: u32 = 2;
/// Size of a descriptor, and more of them than any image has.
const DESCRIPTOR: usize = 585;
const MOST_DESCRIPTORS: u64 = 4096;

/// Opens the tree of an image as a tar archive, to be applied like a layer.
pub fn open(context: &Context, from: &str, scratch: &Path) -> Result<TreeArchive, Error> {
    let mut file = files::open(context, from)?;
    let (offset, length) = find_squashfs(&file, from)?;
    squashfs::read_as_tar(&mut file, offset, length, scratch)
}

fn find_squashfs(file: &File, from: &str) -> Result<(u64, u64), Error> {
    let head = read_at::<128>(file, 0, from)?;
    if head.starts_with(SQUASHFS_MAGIC) {
        let length = file.metadata().map_err(Error::io("reading", from))?.len();
        return Ok((0, length));
    }
    if !head[32..].starts_with(SIF_MAGIC) {
        return Err(not_an_image(from, "is neither a SIF image nor a squashfs"));
    }

    let (total, start) = (long(&head, 88), long(&head, 96));
    for index in 0..total.min(MOST_DESCRIPTORS) {
        let offset = start.saturating_add(index * DESCRIPTOR as u64);
        let descriptor = read_at::<DESCRIPTOR>(file, offset, from)?;
        let is_root = descriptor[4] == 1
            && short(&descriptor, 0) == PARTITION
            && short(&descriptor, 205) == PRIMARY;
        if is_root && short(&descriptor, 201) == SQUASHFS {
            return Ok((long(&descriptor, 17), long(&descriptor, 25)));
        }
        if is_root {
            return Err(not_an_image(
                from,
                "holds a file system other than squashfs",
            ));
        }
    }
    Err(not_an_image(from, "holds no root file system"))
}

fn read_at<const N: usize>(file: &File, offset: u64, from: &str) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset)
        .map_err(|_| not_an_image(from, "is too short to be an image"))?;
    Ok(bytes)
}

fn short(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn not_an_image(from: &str, why: &str) -> Error {
    Error::Base {
        message: format!("{from} {why}"),
        help: Some("build it with cooperage, apptainer or singularity 3 or later".to_owned()),
    }
}
