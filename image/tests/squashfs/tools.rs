//! The tools of the tests: ours, and those of squashfs-tools.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use cooperage_image::pack::{write_squashfs, write_squashfs_over};
use cooperage_image::squashfs::writer::Compression;
use cooperage_image::squashfs::{Bounds, Packing, Part, read_as_tar};
use cooperage_image::{Cancel, Error, Limits};
use tar::EntryType;
use tempfile::NamedTempFile;

use crate::stream::{Object, objects};

/// The image that we write of a layer.
pub(crate) fn write(tar: &[u8], packing: Packing) -> Result<Vec<u8>, Error> {
    write_stack(&[tar], packing, None)
}

/// The image that we write of layers which lie over each other.
pub(crate) fn write_stack(
    tars: &[&[u8]],
    packing: Packing,
    latest: Option<u32>,
) -> Result<Vec<u8>, Error> {
    let mut image = Vec::new();
    let cancel = Cancel::default();
    let size = write_squashfs(tars.iter().copied(), &mut image, packing, latest, &cancel)?;
    assert_eq!(size, image.len() as u64);
    Ok(image)
}

/// The image that we write of layers which lie over another image, whose blocks are copied; nothing
/// if they are not as those of the packing.
pub(crate) fn write_over(
    image: &[u8],
    tars: &[&[u8]],
    packing: Packing,
    limits: Limits,
) -> Result<Option<Vec<u8>>, Error> {
    let file = file_of(image);
    let part = Part {
        file: file.as_file(),
        offset: 0,
        length: image.len() as u64,
    };
    let bounds = Bounds {
        limits,
        cancel: &Cancel::default(),
    };
    let mut written = Vec::new();
    let tars = tars.iter().copied();
    let size = write_squashfs_over(part, tars, &mut written, packing, bounds)?;
    assert_eq!(size.unwrap_or_default(), written.len() as u64);
    Ok(size.map(|_| written))
}

/// The packing whose blocks are as those of an image.
pub(crate) fn packing_of(image: &[u8]) -> Option<Packing> {
    let compression = match image[20] {
        1 => Compression::Gzip { level: 1 },
        4 => Compression::Xz { level: 1 },
        5 => Compression::Lz4,
        6 => Compression::Zstd { level: 1 },
        _ => return None,
    };
    let block_size = image[12..].first_chunk()?;
    Some(Packing {
        compression,
        block_size: u32::from_le_bytes(*block_size),
        threads: 1,
    })
}

pub(crate) fn image_of(tar: &[u8]) -> Vec<u8> {
    write(tar, Packing::default()).unwrap()
}

/// What we read.
pub(crate) fn read(image: &[u8]) -> Result<Vec<u8>, Error> {
    read_within(image, Limits::default(), &Cancel::default())
}

pub(crate) fn read_within(image: &[u8], limits: Limits, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    let file = file_of(image);
    let part = Part {
        file: file.as_file(),
        offset: 0,
        length: image.len() as u64,
    };
    read_part(part, Bounds { limits, cancel })
}

pub(crate) fn read_part(part: Part<'_>, bounds: Bounds<'_>) -> Result<Vec<u8>, Error> {
    read_as_tar(part, bounds, |archive| {
        let mut tar = Vec::new();
        let read = archive.read_to_end(&mut tar);
        read.map(|_| tar)
            .map_err(|error| Error::Internal(error.to_string()))
    })
}

/// An image that `sqfstar` writes and in which `unsquashfs` finds the files of the stream: now and
/// then its threads get in each other's way, and it writes a block that nobody can unpack or, in lz4,
/// which has no checksum, one of another content.
pub(crate) fn sqfstar(tar: &[u8], options: &[&str]) -> Vec<u8> {
    let mut images = (0..10).map(|_| written_by_sqfstar(tar, options));
    images
        .find(|image| has_the_files_of(tar, image))
        .unwrap_or_else(|| panic!("sqfstar {options:?} writes nothing that unsquashfs reads"))
}

fn written_by_sqfstar(tar: &[u8], options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let mut command = Command::new("sqfstar");
    command.args(options).arg(&image);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    // It warns of the root, which has no name.
    command.stderr(Stdio::null());
    let mut process = command
        .spawn()
        .unwrap_or_else(|error| panic!("sqfstar must be installed for this test: {error}"));
    let mut input = process.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || input.write_all(tar).unwrap());
        assert!(process.wait().unwrap().success(), "{options:?}");
    });
    fs::read(image).unwrap()
}

/// The image that `mksquashfs` makes of a folder.
pub(crate) fn mksquashfs(folder: &Path, options: &[&str]) -> Vec<u8> {
    let output = tempfile::tempdir().unwrap();
    let image = output.path().join("image");
    let mut command = Command::new("mksquashfs");
    command.args([folder, &image]).args(options);
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("mksquashfs must be installed for this test: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{options:?}: {complaint}");
    fs::read(image).unwrap()
}

/// What `unsquashfs` says of an image.
pub(crate) fn unsquashfs(arguments: &[&str], image: &[u8], paths: &[&str]) -> Vec<u8> {
    let file = file_of(image);
    let output = Command::new("unsquashfs")
        .args(arguments)
        .arg(file.path())
        .args(paths)
        .env("TZ", "UTC")
        .output()
        .unwrap_or_else(|error| panic!("unsquashfs must be installed for this test: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "unsquashfs: {complaint}");
    output.stdout
}

/// Whether `unsquashfs` can unpack every block, and the files that it makes are those of the stream.
/// What it cannot make of the files is another status.
fn has_the_files_of(tar: &[u8], image: &[u8]) -> bool {
    const DAMAGED: i32 = 1;
    let (file, folder) = (file_of(image), tempfile::tempdir().unwrap());
    let tree = folder.path().join("tree");
    let output = Command::new("unsquashfs")
        .args(["-quiet", "-no-progress", "-no-xattrs", "-dest"])
        .arg(&tree)
        .arg(file.path())
        .output()
        .unwrap_or_else(|error| panic!("unsquashfs must be installed for this test: {error}"));
    let is_spoiled = |(path, object): (Vec<u8>, Object)| {
        object.kind == EntryType::Regular
            && fs::read(tree.join(OsStr::from_bytes(&path)))
                .is_ok_and(|content| content != object.content)
    };
    output.status.code() != Some(DAMAGED) && !objects(tar).into_iter().any(is_spoiled)
}

fn file_of(image: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(image).unwrap();
    file
}
