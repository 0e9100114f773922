//! Packs a tree into a squashfs file and reads one, with the programs of squashfs-tools-ng.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use crate::error::Error;
use crate::inside::Task;
use crate::sandbox::{Namespace, Output, Streams};

/// Kernels attach images in whole pages: a tail that is none would be lost.
const ALIGNMENT: u64 = 4096;
/// Level 9 takes three times as long for half a percent.
const COMPRESSION: [&str; 4] = ["--compressor", "gzip", "--comp-extra", "level=6"];
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
    let packed = pack_into(namespace, rootfs, extra, output).and_then(|()| pad(output));
    if packed.is_err() && output.exists() {
        fs::remove_file(output).map_err(Error::io("removing", output))?;
    }
    packed.map(|size| PackSummary { size })
}

fn pack_into(
    namespace: &Namespace,
    rootfs: &Path,
    extra: Extra<'_>,
    output: &Path,
) -> Result<(), Error> {
    let mut packer = Command::new("tar2sqfs")
        .args(COMPRESSION)
        .args(["--block-size", "131072", "--no-skip", "--quiet"])
        .args(["--defaults", "uid=0,gid=0,mode=0755,mtime=0"])
        .arg(output)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| not_installed("tar2sqfs", &error))?;
    let Some(input) = packer.stdin.take() else {
        return Err(Error::Internal("tar2sqfs has no standard input".to_owned()));
    };

    let task = Task::StreamTree {
        latest: extra.latest,
        ledger: extra.ledger.to_owned(),
    };
    let streams = Streams {
        input: None,
        output: Output::File(OwnedFd::from(input)),
    };
    let (streamed, finished) = thread::scope(|scope| {
        let finished = scope.spawn(move || packer.wait_with_output());
        (namespace.perform(rootfs, &task, streams), finished.join())
    });
    let finished = finished
        .map_err(|_| Error::Internal("waiting for tar2sqfs panicked".to_owned()))?
        .map_err(Error::io("waiting for", "tar2sqfs"))?;

    // When the packer gives up, the streaming fails too, and the packer knows why.
    check("tar2sqfs", finished.status, &finished.stderr)?;
    streamed.map(|_| ())
}

fn pad(output: &Path) -> Result<u64, Error> {
    let pad = || -> io::Result<u64> {
        let file = File::options().write(true).open(output)?;
        let size = file.metadata()?.len().next_multiple_of(ALIGNMENT);
        file.set_len(size)?;
        Ok(size)
    };
    pad().map_err(Error::io("writing", output))
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

fn check(program: &str, status: ExitStatus, stderr: &[u8]) -> Result<(), Error> {
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(stderr);
    Err(Error::Internal(format!(
        "{program} ended with {status}: {}",
        said.trim()
    )))
}

fn not_installed(program: &str, error: &io::Error) -> Error {
    Error::Machine {
        message: format!("{program} cannot be run: {error}"),
        help: Some(PACKAGE.to_owned()),
    }
}
