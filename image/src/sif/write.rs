//! Wraps a file system into a SIF.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use md5::Md5;
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::SifError;
use super::format::{
    ALIGNMENT, DATA_OFFSET, DEFINITION, DESCRIPTOR_SIZE, DESCRIPTORS, GROUP, HEADER_SIZE, JSON,
    LAUNCH, MAGIC, NAME_SIZE, PARTITION, PRIMARY, SQUASHFS, TABLE_OFFSET, VERSION,
    architecture_code,
};

const CHUNK: usize = 1 << 20;

/// What goes into a SIF.
#[derive(Debug)]
pub struct SifContents<'a> {
    /// The definition's text.
    pub definition: &'a str,
    /// JSON objects by name.
    pub objects: Vec<(&'a str, &'a [u8])>,
    /// The root file system.
    pub squashfs: &'a Path,
    /// Its architecture, in Go's spelling.
    pub architecture: &'a str,
    /// The time that everything gets, in seconds since 1970.
    pub time: i64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SifSummary {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the whole file.
    pub sha256: [u8; 32],
    /// MD5 of the whole file.
    pub md5: [u8; 16],
}

/// Makes a file of these contents that everybody may read and execute.
pub fn create(path: &Path, contents: &SifContents<'_>) -> Result<SifSummary, SifError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(path)
        .map_err(SifError::Write)?;
    let summary = write(&mut file, contents)?;
    file.sync_all().map_err(SifError::Write)?;
    Ok(summary)
}

/// Writes a SIF from its beginning to its end; the same contents always give the same bytes.
///
/// The squashfs is read twice: the header names an id that is made of the content.
pub fn write<W: Write>(output: &mut W, contents: &SifContents<'_>) -> Result<SifSummary, SifError> {
    let squashfs_size = std::fs::metadata(contents.squashfs)
        .map_err(SifError::Read)?
        .len();
    let layout = layout(contents, squashfs_size)?;
    let mut output = Hashing::new(output);
    output.write_all(&header(contents, &layout, content_id(contents)?))?;
    output.pad_to(TABLE_OFFSET)?;
    for (index, object) in layout.iter().enumerate() {
        output.write_all(&descriptor(contents, index, object))?;
    }
    output.pad_to(DATA_OFFSET)?;
    for object in &layout {
        output.pad_to(object.offset)?;
        match object.data {
            Data::Bytes(bytes) => output.write_all(bytes)?,
            Data::Squashfs => each_chunk(contents.squashfs, |chunk| output.write_all(chunk))?,
        }
        output.pad_to(object.offset + object.size)?;
        if output.written != object.offset + object.size {
            return Err(SifError::Contents(
                "the squashfs grew while it was copied".to_owned(),
            ));
        }
    }
    Ok(output.finish())
}

struct Placed<'a> {
    kind: i32,
    name: &'a str,
    data: Data<'a>,
    offset: u64,
    size: u64,
    size_with_padding: u64,
}

#[derive(Clone, Copy)]
enum Data<'a> {
    Bytes(&'a [u8]),
    Squashfs,
}

fn layout<'a>(contents: &SifContents<'a>, squashfs: u64) -> Result<Vec<Placed<'a>>, SifError> {
    let definition = contents.definition.as_bytes();
    let mut objects = vec![(DEFINITION, "", Data::Bytes(definition), length(definition))];
    for &(name, bytes) in &contents.objects {
        objects.push((JSON, name, Data::Bytes(bytes), length(bytes)));
    }
    // The kernel's loop device sees whole sectors only, and the tables are at the end.
    objects.push((
        PARTITION,
        "",
        Data::Squashfs,
        squashfs.next_multiple_of(ALIGNMENT),
    ));
    if objects.len() > DESCRIPTORS {
        let most = DESCRIPTORS - 2;
        return Err(SifError::Contents(format!(
            "a SIF has room for {most} JSON objects"
        )));
    }
    let mut end = DATA_OFFSET;
    let mut placed = Vec::with_capacity(objects.len());
    for (kind, name, data, size) in objects {
        if name.len() >= NAME_SIZE {
            return Err(SifError::Contents(format!(
                "object name {name} is too long"
            )));
        }
        let offset = if kind == PARTITION {
            end.next_multiple_of(ALIGNMENT)
        } else {
            end
        };
        let size_with_padding = offset - end + size;
        end = offset + size;
        placed.push(Placed {
            kind,
            name,
            data,
            offset,
            size,
            size_with_padding,
        });
    }
    Ok(placed)
}

fn length(bytes: &[u8]) -> u64 {
    length_of(bytes.len())
}

/// A UUID of version 8, made of everything that is in the image.
fn content_id(contents: &SifContents<'_>) -> Result<[u8; 16], SifError> {
    let mut hash = Sha256::new();
    let objects = contents
        .objects
        .iter()
        .flat_map(|(name, bytes)| [name.as_bytes(), *bytes]);
    let parts = [
        contents.definition.as_bytes(),
        contents.architecture.as_bytes(),
    ];
    for part in parts.into_iter().chain(objects) {
        hash.update(length(part).to_le_bytes());
        hash.update(part);
    }
    hash.update(contents.time.to_le_bytes());
    each_chunk(contents.squashfs, |chunk| {
        hash.update(chunk);
        Ok(())
    })?;
    let digest: [u8; 32] = hash.finalize().into();
    let (first, _) = digest.split_at(16);
    let id = first.try_into().unwrap_or([0; 16]);
    Ok(*Builder::from_custom_bytes(id).as_uuid().as_bytes())
}

fn header(contents: &SifContents<'_>, layout: &[Placed<'_>], id: [u8; 16]) -> Vec<u8> {
    let end = layout
        .last()
        .map_or(DATA_OFFSET, |last| last.offset + last.size);
    let total = length_of(DESCRIPTORS);
    let mut header = LAUNCH.to_vec();
    header.resize(32, 0);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(VERSION);
    header.extend_from_slice(&architecture_code(contents.architecture));
    header.extend_from_slice(&id);
    header.extend_from_slice(&contents.time.to_le_bytes());
    header.extend_from_slice(&contents.time.to_le_bytes());
    let numbers = [
        total - length_of(layout.len()),
        total,
        TABLE_OFFSET,
        total * length_of(DESCRIPTOR_SIZE),
        DATA_OFFSET,
        end - DATA_OFFSET,
    ];
    for number in numbers {
        header.extend_from_slice(&number.to_le_bytes());
    }
    debug_assert_eq!(header.len(), HEADER_SIZE);
    header
}

fn length_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn descriptor(contents: &SifContents<'_>, index: usize, object: &Placed<'_>) -> Vec<u8> {
    let id = u32::try_from(index + 1).unwrap_or(u32::MAX);
    let mut bytes = object.kind.to_le_bytes().to_vec();
    bytes.push(1);
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&GROUP.to_le_bytes());
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    for number in [object.offset, object.size, object.size_with_padding] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    // Created and modified; the user and group that follow have no meaning any more.
    for number in [contents.time, contents.time, 0, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let name_start = bytes.len();
    bytes.extend_from_slice(object.name.as_bytes());
    bytes.resize(name_start + NAME_SIZE, 0);
    if object.kind == PARTITION {
        bytes.extend_from_slice(&SQUASHFS.to_le_bytes());
        bytes.extend_from_slice(&PRIMARY.to_le_bytes());
        bytes.extend_from_slice(&architecture_code(contents.architecture));
    }
    bytes.resize(DESCRIPTOR_SIZE, 0);
    bytes
}

fn each_chunk<F>(path: &Path, mut take: F) -> Result<(), SifError>
where
    F: FnMut(&[u8]) -> Result<(), SifError>,
{
    let mut file = BufReader::new(File::open(path).map_err(SifError::Read)?);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&chunk[..count])?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SifError::Read(error)),
        }
    }
}

/// Hashes what goes through it.
struct Hashing<'w, W> {
    output: &'w mut W,
    written: u64,
    sha256: Sha256,
    md5: Md5,
}

impl<'w, W: Write> Hashing<'w, W> {
    fn new(output: &'w mut W) -> Self {
        Self {
            output,
            written: 0,
            sha256: Sha256::new(),
            md5: Md5::new(),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), SifError> {
        self.output.write_all(bytes).map_err(SifError::Write)?;
        self.sha256.update(bytes);
        self.md5.update(bytes);
        self.written += length(bytes);
        Ok(())
    }

    fn pad_to(&mut self, offset: u64) -> Result<(), SifError> {
        let zeros = [0; 4096];
        while self.written < offset {
            let missing = usize::try_from(offset - self.written).unwrap_or(zeros.len());
            self.write_all(&zeros[..missing.min(zeros.len())])?;
        }
        Ok(())
    }

    fn finish(self) -> SifSummary {
        SifSummary {
            size: self.written,
            sha256: self.sha256.finalize().into(),
            md5: self.md5.finalize().into(),
        }
    }
}
