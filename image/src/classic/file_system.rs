//! Makes, grows and corrects ext3 file systems with the programs of e2fsprogs, in place behind the
//! line that starts an image.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use crate::error::Error;

/// The line that starts an image: a shell runs the image with it. The file system follows.
pub const LAUNCH_LINE: &[u8] = b"#!/usr/bin/env run-singularity\n";

/// What Singularity and Apptainer accept as ext3, whatever `/etc/mke2fs.conf` prefers: their
/// readers refuse every feature that they do not know.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,sparse_super,\
                        large_file";
/// Where e2fsprogs lie; an ordinary user seldom has them in `PATH`.
const PROGRAMS: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
pub(super) const MEBIBYTE: u64 = 1 << 20;

/// Gives an empty file the line and the length of an image of `size` MiB; it takes no space.
pub(super) fn lay_out(file: &mut File, size: u64) -> io::Result<()> {
    file.write_all(LAUNCH_LINE)?;
    file.set_len(LAUNCH_LINE.len() as u64 + size * MEBIBYTE)
}

/// The command that makes a file system of `size` MiB in an image that was laid out.
pub(super) fn mke2fs(image: &str, size: u64, more: &[&str]) -> Vec<String> {
    let offset = format!("offset={}", LAUNCH_LINE.len());
    let size = format!("{size}M");
    let mut command = vec![
        "mke2fs", "-q", "-F", "-t", "ext3", "-b", "4096", "-I", "256", "-O", FEATURES, "-E",
        &offset,
    ];
    command.extend(more);
    command.extend([image, &size]);
    command.into_iter().map(str::to_owned).collect()
}

/// Makes an empty file system in an image of our own.
pub(super) fn format(image: &Path, size: u64) -> Result<(), Error> {
    let command = mke2fs(&image.to_string_lossy(), size, &[]);
    let ended = Command::new(&command[0])
        .args(&command[1..])
        .env("PATH", PROGRAMS)
        .output()
        .map_err(|error| Error::Machine {
            message: format!("mke2fs cannot be run: {error}"),
            help: Some("install the Debian package e2fsprogs".to_owned()),
        })?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(Error::Base {
        message: format!("file system cannot be made: {}", said.trim()),
        help: None,
    })
}
