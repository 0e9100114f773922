//! Makes, fills and grows ext3 file systems with the programs of e2fsprogs, in place behind the
//! line that starts an image.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::error::Error;
use crate::ext3;

/// The line that starts an image: a shell runs the image with it. The file system follows.
pub const LAUNCH_LINE: &[u8] = b"#!/usr/bin/env run-singularity\n";

/// What Singularity and Apptainer accept as ext3, whatever `/etc/mke2fs.conf` prefers: their
/// readers refuse every feature that they do not know.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,sparse_super,\
                        large_file";
/// Where e2fsprogs lie; an ordinary user seldom has them in `PATH`.
pub(super) const PROGRAMS: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
pub(super) const MEBIBYTE: u64 = 1 << 20;
const BLOCK: u64 = 4096;
/// One inode for so many bytes, unless there are more files.
const BYTES_PER_INODE: u64 = 16 << 10;

/// Where in an image its file system lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Behind the launch line, or at the beginning as Singularity 2.4 made them.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) length: u64,
}

impl Layout {
    /// That of an image of `size` MiB.
    pub(super) fn new(size: u64) -> Self {
        Self {
            offset: LAUNCH_LINE.len() as u64,
            length: size * MEBIBYTE,
        }
    }

    /// That of an image which exists; nothing if it has no ext3.
    pub(super) fn find(image: &File) -> io::Result<Option<Self>> {
        let length = image.metadata()?.len();
        let mut line = [0; LAUNCH_LINE.len()];
        let has_line = image.read_exact_at(&mut line, 0).is_ok() && line == LAUNCH_LINE;
        let offset = if has_line { line.len() as u64 } else { 0 };
        Ok(ext3::is_at(image, offset).then(|| Self {
            offset,
            length: length.saturating_sub(offset),
        }))
    }

    /// The size in MiB.
    pub(super) fn size(self) -> u64 {
        self.length / MEBIBYTE
    }

    /// Gives an empty file the line and the length; it takes no space.
    pub(super) fn lay_out(self, file: &mut File) -> io::Result<()> {
        if self.offset > 0 {
            file.write_all(LAUNCH_LINE)?;
        }
        file.set_len(self.offset + self.length)
    }

    /// The command that makes a file system with room for `files` files, of the tree at `root` if
    /// there is one, in an image that was laid out.
    pub(super) fn mke2fs(self, image: &str, files: u64, root: Option<&str>) -> Vec<String> {
        let inodes = (self.length / BYTES_PER_INODE).max(files + files / 4 + 64);
        let mut command = words("mke2fs -q -F -t ext3 -b 4096 -I 256 -N");
        command.push(inodes.to_string());
        command.extend(words("-O"));
        command.push(FEATURES.to_owned());
        command.extend(["-E".to_owned(), format!("offset={}", self.offset)]);
        command.extend(
            root.into_iter()
                .flat_map(|root| words("-d").into_iter().chain([root.to_owned()])),
        );
        command.extend([image.to_owned(), (self.length / BLOCK).to_string()]);
        command
    }

    /// The image as the other programs of e2fsprogs are told of it.
    pub(super) fn device(self, image: &str) -> String {
        format!("{image}?offset={}", self.offset)
    }
}

pub(super) fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Makes an empty file system in an image of our own.
pub(super) fn format(image: &Path, layout: Layout) -> Result<(), Error> {
    let command = layout.mke2fs(&image.to_string_lossy(), 0, None);
    let ended = Command::new(&command[0])
        .args(&command[1..])
        .env("PATH", PROGRAMS)
        .output()
        .map_err(|_| not_installed())?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(Error::Base {
        message: format!("file system cannot be made: {}", said.trim()),
        help: None,
    })
}

pub(super) fn not_installed() -> Error {
    Error::Machine {
        message: "the programs for ext3 file systems are not there".to_owned(),
        help: Some("install the Debian package e2fsprogs".to_owned()),
    }
}
