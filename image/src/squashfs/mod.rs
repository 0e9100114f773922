//! Packs a tree into a squashfs file, and reads one with a program of squashfs-tools-ng.

pub mod writer;

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use self::writer::Options;
use crate::error::Error;
use crate::inside::Task;
use crate::sandbox::{Namespace, Output, Streams};

const PACKAGE: &str = "install the Debian package squashfs-tools-ng";

/// A packed tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackSummary {
    /// Size of the file in bytes, a multiple of 4096.
    pub size: u64,
}

/// What is packed besides the files themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extra<'a> {
    /// No time in the image is later, in seconds since 1970.
    pub latest: Option<i64>,
    /// What the file system could not represent, in JSON lines.
    pub ledger: &'a str,
}

/// Packs the tree at `rootfs` into a file that must not exist yet. The same tree gives the same
/// bytes.
pub fn pack(
    namespace: &Namespace,
    rootfs: &Path,
    extra: Extra<'_>,
    output: &Path,
) -> Result<PackSummary, Error> {
    let packed = pack_into(namespace, rootfs, extra, output);
    if packed.is_err() && output.exists() {
        fs::remove_file(output).map_err(Error::io("removing", output))?;
    }
    packed
}

fn pack_into(
    namespace: &Namespace,
    rootfs: &Path,
    extra: Extra<'_>,
    output: &Path,
) -> Result<PackSummary, Error> {
    let mut file = File::create_new(output).map_err(Error::io("creating", output))?;
    let (tree, writer) = io::pipe().map_err(Error::io("creating", "a pipe"))?;
    let task = Task::StreamTree {
        latest: extra.latest,
        ledger: extra.ledger.to_owned(),
    };
    let streams = Streams {
        input: None,
        output: Output::File(OwnedFd::from(writer)),
    };
    let options = Options {
        modified: extra.latest.map(clamp),
        ..Options::default()
    };
    let (streamed, written) = thread::scope(|scope| {
        let writing = scope.spawn(|| writer::write_tar(tree, &mut file, &options));
        (namespace.perform(rootfs, &task, streams), writing.join())
    });
    let written = written.map_err(|_| Error::Internal("the packer panicked".to_owned()))?;
    // A tree that cannot be read breaks off, and only the reader knows why.
    match (streamed, written) {
        (_, Err(writer::Error::Write(source))) => Err(Error::io("writing", output)(source)),
        (Err(error), _) => Err(error),
        (Ok(_), Err(error)) => Err(Error::Internal(format!("packing the tree: {error}"))),
        (Ok(_), Ok(summary)) => Ok(PackSummary { size: summary.size }),
    }
}

/// Squashfs counts the seconds since 1970 in 32 bits.
fn clamp(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// A squashfs file being read as a tar archive.
#[derive(Debug)]
pub struct TreeArchive {
    program: Child,
    _copy: tempfile::NamedTempFile,
}

/// Reads the squashfs at a place of a file as an uncompressed tar archive, root directory
/// included. `scratch` holds a copy of it meanwhile.
pub fn read_as_tar(
    file: &File,
    offset: u64,
    length: u64,
    scratch: &Path,
) -> Result<TreeArchive, Error> {
    let mut copy = tempfile::NamedTempFile::new_in(scratch)
        .map_err(Error::io("creating a file in", scratch))?;
    let mut source = file;
    let copied = source
        .seek(SeekFrom::Start(offset))
        .and_then(|_| io::copy(&mut source.take(length), copy.as_file_mut()))
        .map_err(Error::io("copying an image to", copy.path()))?;
    if copied < length {
        return Err(Error::Base {
            message: format!("image is cut off: {copied} of {length} bytes are there"),
            help: None,
        });
    }

    let program = Command::new("sqfs2tar")
        .args(["--root-becomes", "."])
        .arg(copy.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| not_installed("sqfs2tar", &error))?;
    Ok(TreeArchive {
        program,
        _copy: copy,
    })
}

impl Read for TreeArchive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(output) = &mut self.program.stdout else {
            return Ok(0);
        };
        match output.read(buffer)? {
            // An archive that breaks off must not look like one that ends.
            0 if !buffer.is_empty() && !self.program.wait()?.success() => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "image is damaged",
            )),
            count => Ok(count),
        }
    }
}

impl Drop for TreeArchive {
    fn drop(&mut self) {
        if let Err(error) = self.program.kill().and_then(|()| self.program.wait()) {
            tracing::warn!("sqfs2tar cannot be ended: {error}");
        }
    }
}

fn not_installed(program: &str, error: &io::Error) -> Error {
    Error::Machine {
        message: format!("{program} cannot be run: {error}"),
        help: Some(PACKAGE.to_owned()),
    }
}
