//! Reads the tree of an ext2, ext3 or ext4 file system: the images that Singularity 2 made.
//!
//! # Security
//! The image may be a stranger's. It is read here, not by the kernel: every number in it is checked
//! before it is used, a folder is entered once, and a file has no more blocks than the file system.
//!
//! <https://docs.kernel.org/filesystems/ext4/index.html>

mod archive;
mod blocks;
mod directory;
mod image;
mod inode;
mod tree;
mod xattr;

use std::io::{self, BufWriter, Read, Write};
use std::thread;

use self::archive::Archive;
use self::image::Image;
use self::tree::Walk;
use crate::cancellable::Cancellable;
use crate::engine::Cancel;
use crate::error::Error;
use crate::squashfs::Part;

/// Whether an ext2, ext3 or ext4 file system begins at that place of a file.
pub fn is_at(file: &std::fs::File, offset: u64) -> bool {
    image::has_magic(file, offset)
}

/// Reads a file system; `take` gets it as an uncompressed tar archive, root directory included.
pub fn read_as_tar<T>(
    part: Part<'_>,
    cancel: &Cancel,
    take: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, Error>,
) -> Result<T, Error> {
    let image = Image::open(part)?;
    let (mut archive, writer) = io::pipe().map_err(Error::io("creating", "a pipe"))?;
    let (taken, written) = thread::scope(|scope| {
        let writing = scope.spawn(|| write_tree(&image, cancel, writer));
        let taken = take(&mut archive).and_then(|taken| {
            let rest = io::copy(&mut Cancellable::new(&mut archive, cancel), &mut io::sink());
            rest.map(|_| taken)
                .map_err(Error::io("reading", "an image"))
        });
        // What is still writing learns that nobody listens any more.
        drop(archive);
        (taken, writing.join())
    });
    let written = written.map_err(|_| Error::Internal("reading an image panicked".to_owned()))?;
    // An archive that breaks off must not look like one that ends.
    match (taken, written) {
        _ if cancel.is_cancelled() => Err(Error::Cancelled),
        (taken, Ok(()) | Err(archive::Failure::NobodyListens)) => taken,
        (_, Err(archive::Failure::Image(error))) => Err(error),
    }
}

fn write_tree(
    image: &Image<'_>,
    cancel: &Cancel,
    writer: impl Write,
) -> Result<(), archive::Failure> {
    let writer = BufWriter::with_capacity(256 << 10, writer);
    let mut walk = Walk::new(image, cancel, Archive::new(writer));
    walk.whole()?;
    walk.finish()
}

#[cfg(test)]
mod tests;
